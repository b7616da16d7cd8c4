#!/bin/sh
# How many boxes an area takes: boxes.sh AREA BOX, both in square centimetres.
set -eu
echo $(($1 / $2))
