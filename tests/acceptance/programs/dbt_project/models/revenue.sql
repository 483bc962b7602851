select city, sum(amount) as revenue from {{ ref('orders') }} group by city
