select * from (values (1, 'london', 20.0), (2, 'tokyo', 30.5), (3, 'london', 4.5)) as orders (id, city, amount)
