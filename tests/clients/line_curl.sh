#!/bin/bash
# The line protocol with one curl, and so one connection, for each request.
while read -r method path bytes; do
    dial=$AG_DIAL
    [[ $dial == *:* ]] && dial="[$dial]"
    args=(--silent --show-error --cacert "$AG_CA" --output /dev/null --write-out '%{http_code}'
        --resolve "$AG_HOST:$AG_PORT:$dial" --request "$method" "$AG_BASE$path")
    if ((bytes > 0)); then
        status=$(head --bytes="$bytes" /dev/zero | tr '\0' b | curl "${args[@]}" --data-binary @- 2>/dev/null)
    else
        status=$(curl "${args[@]}" 2>/dev/null)
    fi
    code=$?
    if ((code == 0)); then echo "ok $status"; else echo "error curl ended with $code"; fi
done
