# One call over the socket: a line of JSON there, a line back. perl stands in for what bash has not: Unix sockets.
call() {
  perl -MIO::Socket::UNIX -e '
    my $s = IO::Socket::UNIX->new(Peer => $ENV{SKEP_SOCKET}) or die "no socket: $!";
    print $s "$ARGV[0]\n"; $s->flush; print scalar <$s>' "$1"
}
call '{"jsonrpc":"2.0","id":1,"method":"write","params":{"path":"/data/bash.md","text":"bash was here","origin":"argument"}}'
echo "as a file: process $SKEP_PID of $SKEP_WORKSPACE" > /data/bash.txt
n=0
while :; do
  n=$((n + 1))
  echo "$n" > "$HOME/beat.new" && mv "$HOME/beat.new" "$HOME/beat"
  sleep 0.02
done
