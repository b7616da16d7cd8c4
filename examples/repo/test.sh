#!/bin/sh
# Every case of boxes.sh: AREA BOX BOXES. Its status is the number of those that fail.
failed=0
check() {
	found=$(sh boxes.sh "$1" "$2")
	if [ "$found" = "$3" ]; then
		echo "ok    $1 of $2 is $3"
	else
		echo "FAIL  $1 of $2 is $3, not $found"
		failed=$((failed + 1))
	fi
}
check 20000 10000 2
check 25000 10000 3
check 1 10000 1
check 120000 9600 13
[ "$failed" = 0 ] && echo "all pass"
exit "$failed"
