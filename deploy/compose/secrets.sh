#!/bin/sh
# Makes the passwords of docker-compose.yml on its first start, each readable by the one service that uses it alone.
# Nobody has to think of a password, none is in an environment or in the output of `docker inspect`, and none is the same
# on two machines. What is there already is kept.
#
#   secrets.sh DIRECTORY    with a directory for each service below it
set -eu
umask 077
cd "$1"

# put FILE UID: standard input becomes FILE, whole or not at all.
put() {
  cat >"$1.part"
  chown "$2:$2" "$(dirname "$1")" "$1.part"
  mv "$1.part" "$1"
}

random() {
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# The password comes first and is kept, so that a start that was cut off in between ends with the same one in both places.
[ -s postgres/password ] || random | put postgres/password 999
[ -s collector/pgpass ] || printf 'postgres:5432:collector:collector:%s\n' "$(cat postgres/password)" | put collector/pgpass 10001
[ -s grafana/admin-password ] || random | put grafana/admin-password 472
