// A method for each call, and a type for each form of answer.
// Made by cargo xtask gen from Skep's tables; changes here are lost.

export class Calls {
  list(params = {}) {
    return this.call("list", params);
  }
  read(params = {}) {
    return this.call("read", params);
  }
  write(params = {}) {
    return this.call("write", params);
  }
  move(params = {}) {
    return this.call("move", params);
  }
  remove(params = {}) {
    return this.call("remove", params);
  }
  search(params = {}) {
    return this.call("search", params);
  }
  history(params = {}) {
    return this.call("history", params);
  }
  spawn(params = {}) {
    return this.call("spawn", params);
  }
  wait(params = {}) {
    return this.call("wait", params);
  }
  signal(params = {}) {
    return this.call("signal", params);
  }
  exec(params = {}) {
    return this.call("exec", params);
  }
  dispatch(params = {}) {
    return this.call("dispatch", params);
  }
  complete(params = {}) {
    return this.call("complete", params);
  }
  propose(params = {}) {
    return this.call("propose", params);
  }
  decide(params = {}) {
    return this.call("decide", params);
  }
  grant(params = {}) {
    return this.call("grant", params);
  }
  revoke(params = {}) {
    return this.call("revoke", params);
  }
  trace(params = {}) {
    return this.call("trace", params);
  }
}
