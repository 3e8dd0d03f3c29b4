#!/bin/sh
# curl: --data-urlencode spells the placeholder portably; a literal one in the URL would be cut at its #.
set -eu
for arguments in generate items both; do
  case $arguments in
  generate) set -- -G --data-urlencode 'token=#{SECRETS.API_TOKEN}' ;;
  items) set -- -H 'Authorization: Bearer #{SECRETS.API_TOKEN}' ;;
  both) set -- -G --data-urlencode 'token=#{SECRETS.API_TOKEN}' -H 'Authorization: Bearer #{SECRETS.API_TOKEN}' -H 'X-Other: #{SECRETS.OTHER}' ;;
  esac
  curl -sS --max-time 20 -w '\n' "$@" "$API/$arguments"
done
