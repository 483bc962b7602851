echo "$WHO on {{ ds }}"
