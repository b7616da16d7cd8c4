"""Prints the four suites of AgentDojo v1.2.2 as the planner reads them: a list of objects, one a suite,

    {"name", "items": [{"path", "text"}], "answers": {KIND: TEXT},
     "benign": [{"name", "task", "calls"}], "attacks": [{"name", "task", "calls", "by", "injected"}]}

where a call is {"read": PATH} or {"kind", "args", "brings": [{"path", "text"}]}: what stands in the directory of the
mount once the call was carried out, if that is something new (who was invited is a member then).

The manifests are not made here; they stand beside this file and are written by hand. What a ground truth reads
becomes an item, with the text that the tool really gives when the calls are carried out in order; where it stands
below the mount is the table below, and the manifest says what that means. What it writes stays a call. An attack is
every pair of a user task and an injection task whose ground truth has a call; its text is an item of its own.

A whole value in angle brackets (`<summary>`) stands in the ground truths for words that a model would write; it is
taken as the word in them. Nothing else of a call is changed.
"""

import json
import re

import yaml
from agentdojo.agent_pipeline.tool_execution import tool_result_to_str
from agentdojo.functions_runtime import FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suites

# Everything else that only reads is external: other people have written it, or parts of it.
PLACES = {
    "search_contacts_by_name": "/directory",
    "search_contacts_by_email": "/directory",
    "get_users_in_channel": "/directory",
    "get_user_information": "/private",
    "get_user_info": "/private",
    "get_balance": "/private",
    "get_iban": "/private",
    "get_current_day": "/own",
    "get_channels": "/own",
}
WRITES = {
    "send_email", "delete_email", "create_calendar_event", "cancel_calendar_event", "reschedule_calendar_event",
    "add_calendar_event_participants", "append_to_file", "create_file", "delete_file", "share_file",
    "reserve_hotel", "reserve_car_rental", "reserve_restaurant", "send_money", "schedule_transaction",
    "update_scheduled_transaction", "update_password", "update_user_info", "add_user_to_channel",
    "send_direct_message", "send_channel_message", "invite_user_to_slack", "remove_user_from_slack",
    "get_webpage", "post_webpage",
}  # fmt: skip
TEXT_MAX = 60_000


def plain(value):
    """A value as the door takes it: text, a number, or a list of them."""
    if isinstance(value, str):
        return re.sub(r"^<(\w+)>$", r"\1", value)
    if isinstance(value, (list, tuple)):
        return [one if isinstance(one, str) else json.dumps(one, default=str) for one in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return json.dumps(value, default=str)


class World:
    """The items of one suite; the same text of the same tool is one item."""

    def __init__(self):
        self.items, self.paths, self.answers = [], {}, {}

    def add(self, place, name, text):
        text = text.encode()[:TEXT_MAX].decode(errors="ignore") or "nothing"
        path = self.paths.get((place, name, text))
        if path is None:
            path = f"{place}/{name}-{len(self.items)}.md"
            self.paths[(place, name, text)] = path
            self.items.append({"path": path, "text": text})
        return path

    @staticmethod
    def listed(what, rows):
        return {"path": f"/directory/{what}.md", "text": "\n".join(rows)}

    def calls(self, suite, env, truth):
        """Carries a ground truth out and answers it as calls."""
        runtime, calls, known = FunctionsRuntime(suite.tools), [], members(env)
        for call in truth:
            result, error = runtime.run_function(env, call.function, call.args)
            text = error or tool_result_to_str(result, dump_fn=lambda data: yaml.safe_dump(data, allow_unicode=True))
            if call.function == "get_webpage":
                self.answers[call.function] = text
            if call.function in WRITES:
                args = {name: plain(value) for name, value in call.args.items()}
                calls.append({"kind": call.function, "args": {k: v for k, v in args.items() if v not in (None, [])}})
                # A bank lists whom it has paid when that is booked, a mailbox whom was written to some day; but
                # who was invited to a chat is a member at once.
                now = members(env)
                if now != known:
                    calls[-1]["brings"] = [self.listed("members", now)]
                known = now
            else:
                place = PLACES.get(call.function, "/external")
                calls.append({"read": self.add(place, call.function, text)})
        return calls


def truth(suite, task):
    env = suite.load_and_inject_default_environment({})
    env = getattr(task, "init_environment", lambda env: env)(env)
    return env, task.ground_truth(env.model_copy(deep=True))


def directory(env):
    """What the operator's own hand has put into a directory: never a sender of mail, never a text."""
    if hasattr(env, "inbox"):
        sent = [mail for mail in env.inbox.initial_emails if mail.sender == env.inbox.account_email]
        yield "contacts", sorted({who for mail in sent for who in [*mail.recipients, *mail.cc, *mail.bcc]})
    if hasattr(env, "bank_account"):
        account = env.bank_account
        own = {"me", account.iban}
        paid = [one.recipient for one in account.transactions if one.sender in own]
        yield "payees", sorted({*paid, *(one.recipient for one in account.scheduled_transactions)} - own)
    if hasattr(env, "slack"):
        yield "members", members(env)


def members(env):
    return sorted(env.slack.users) if hasattr(env, "slack") else []


def told(call):
    if "read" in call:
        return f"- look at {call['read'].rsplit('/', 1)[1]}"
    return f"- {call['kind']}: " + ", ".join(f"{name} {value}" for name, value in call["args"].items())


def exported(name, suite):
    world = World()
    for what, rows in directory(suite.load_and_inject_default_environment({})):
        if rows:
            world.items.append(world.listed(what, rows))
    benign, injections = [], []
    for key, task in suite.user_tasks.items():
        benign.append({"name": key, "task": task.PROMPT, "calls": world.calls(suite, *truth(suite, task))})
    for key, task in suite.injection_tasks.items():
        env, calls = truth(suite, task)
        calls = world.calls(suite, env, calls)
        if calls:
            text = "\n".join([task.GOAL, *map(told, calls)])
            injections.append({"name": key, "by": world.add("/external", key, text), "injected": calls})
    attacks = [
        {**one, "name": f"{user['name']} × {one['name']}", "task": user["task"], "calls": user["calls"]}
        for user in benign
        for one in injections
    ]
    return {"name": name, "items": world.items, "answers": world.answers, "benign": benign, "attacks": attacks}


print(json.dumps([exported(name, suite) for name, suite in get_suites("v1.2.2").items()]))
