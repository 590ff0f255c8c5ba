"""A small AdventureWorks in PostgreSQL: schemas, domains, keys with a time in them, late dates, a table of secrets, views."""

from __future__ import annotations

STATEMENTS = (
    "DROP SCHEMA IF EXISTS person, humanresources, production, sales, purchasing, pr CASCADE",
    "CREATE SCHEMA person; CREATE SCHEMA humanresources; CREATE SCHEMA production; CREATE SCHEMA sales; CREATE SCHEMA pr",
    'DROP DOMAIN IF EXISTS "Name", "Flag", "OrderNumber"',
    'CREATE DOMAIN "Name" varchar(50); CREATE DOMAIN "Flag" boolean NOT NULL; CREATE DOMAIN "OrderNumber" varchar(25)',
    "CREATE TABLE person.businessentity (businessentityid int PRIMARY KEY, rowguid uuid NOT NULL DEFAULT gen_random_uuid())",
    "CREATE TABLE person.person (businessentityid int PRIMARY KEY REFERENCES person.businessentity, persontype char(2), "
    'lastname "Name", namestyle "Flag", demographics xml)',
    "CREATE TABLE person.password (businessentityid int PRIMARY KEY REFERENCES person.person, passwordhash varchar(128), "
    "passwordsalt varchar(10), modifieddate timestamp)",
    "CREATE TABLE person.emailaddress (businessentityid int REFERENCES person.person, emailaddressid int, "
    "emailaddress varchar(50), PRIMARY KEY (businessentityid, emailaddressid))",
    'CREATE TABLE humanresources.department (departmentid int PRIMARY KEY, name "Name")',
    "CREATE TABLE humanresources.employee (businessentityid int PRIMARY KEY REFERENCES person.person, "
    'nationalidnumber varchar(15), hiredate date, salariedflag "Flag")',
    "CREATE TABLE humanresources.employeedepartmenthistory (businessentityid int REFERENCES humanresources.employee, "
    "departmentid int REFERENCES humanresources.department, startdate date, enddate date, "
    "PRIMARY KEY (businessentityid, startdate, departmentid))",
    'CREATE TABLE production.product (productid int PRIMARY KEY, name "Name", makeflag "Flag", listprice numeric, '
    "weight numeric(8, 2), sellstartdate timestamp)",
    "CREATE TABLE production.productcosthistory (productid int REFERENCES production.product, startdate timestamp, "
    "enddate timestamp, standardcost numeric, PRIMARY KEY (productid, startdate))",
    'CREATE TABLE sales.salesterritory (territoryid int PRIMARY KEY, name "Name", "group" varchar(50))',
    "CREATE TABLE sales.customer (customerid int PRIMARY KEY, personid int REFERENCES person.person, "
    "territoryid int REFERENCES sales.salesterritory)",
    "CREATE TABLE sales.creditcard (creditcardid int PRIMARY KEY, cardtype varchar(50), cardnumber varchar(25))",
    "CREATE TABLE sales.salesorderheader (salesorderid int PRIMARY KEY, orderdate timestamp, shipdate timestamp, "
    'purchaseordernumber "OrderNumber", customerid int REFERENCES sales.customer, '
    "creditcardid int REFERENCES sales.creditcard, subtotal numeric, comment varchar(128))",
    "CREATE TABLE sales.salesorderdetail (salesorderid int REFERENCES sales.salesorderheader, salesorderdetailid int, "
    "productid int REFERENCES production.product, orderqty smallint, unitprice numeric, "
    "PRIMARY KEY (salesorderid, salesorderdetailid))",
    'CREATE TABLE sales.store (businessentityid int PRIMARY KEY REFERENCES person.businessentity, name "Name")',
    "CREATE VIEW sales.vindividualcustomer AS SELECT * FROM sales.customer",
    "CREATE VIEW pr.p AS SELECT * FROM production.product",
    "CREATE MATERIALIZED VIEW production.vproduct AS SELECT * FROM production.product",
    "INSERT INTO person.businessentity SELECT i FROM generate_series(1, 140) i",
    "INSERT INTO person.person SELECT i, 'IN', 'L' || i, false, '<a/>' FROM generate_series(1, 120) i",
    "INSERT INTO person.password SELECT i, 'hash' || i, 'salt', '2010-01-01' FROM generate_series(1, 120) i",
    "INSERT INTO person.emailaddress SELECT i, i, 'a@b' FROM generate_series(1, 120) i",
    "INSERT INTO humanresources.department SELECT i, 'D' || i FROM generate_series(1, 6) i",
    "INSERT INTO humanresources.employee SELECT i, 900000 + i, '2009-01-01'::date + i, true FROM generate_series(1, 20) i",
    "INSERT INTO humanresources.employeedepartmenthistory SELECT i, 1 + i % 6, '2009-02-01'::date + i, NULL "
    "FROM generate_series(1, 20) i",
    "INSERT INTO production.product SELECT i, 'P' || i, true, i * 1.5, 2, '2011-05-31' FROM generate_series(1, 30) i",
    "INSERT INTO production.productcosthistory SELECT 1 + i % 30, '2011-05-31'::timestamp + (i / 30) * interval '200 days', "
    "NULL, i FROM generate_series(0, 89) i",
    "INSERT INTO sales.salesterritory SELECT i, 'T' || i, 'g' FROM generate_series(1, 5) i",
    "INSERT INTO sales.customer SELECT 11000 + i, 21 + i % 100, 1 + i % 5 FROM generate_series(1, 90) i",
    "INSERT INTO sales.creditcard SELECT i, 'Vista', 4111000 + i FROM generate_series(1, 50) i",
    "SELECT setseed(0.3)",
    "INSERT INTO sales.salesorderheader SELECT 43000 + i, '2011-05-31'::timestamp + (i / 2) * interval '1 day', "
    "'2011-06-07'::timestamp + (i / 2) * interval '1 day', 'PO' || i, 11001 + (random() * 89)::int, 1 + i % 50, "
    "(random() * 900)::numeric(10, 2), NULL FROM generate_series(1, 1500) i",
    "INSERT INTO sales.salesorderdetail SELECT 43001 + (i - 1) % 1500, i, 1 + (random() * 29)::int, 1 + i % 4, 9.5 "
    "FROM generate_series(1, 3000) i",
    "INSERT INTO sales.store SELECT i, 'S' || i FROM generate_series(121, 140) i",
    "REFRESH MATERIALIZED VIEW production.vproduct",
)
SCHEMAS = "person,humanresources,production,sales,pr"
REFERENCES = {
    ("person", "businessentityid", "businessentity"), ("password", "businessentityid", "person"),
    ("emailaddress", "businessentityid", "person"), ("employee", "businessentityid", "person"),
    ("employeedepartmenthistory", "businessentityid", "employee"),
    ("employeedepartmenthistory", "departmentid", "department"), ("productcosthistory", "productid", "product"),
    ("customer", "personid", "person"), ("customer", "territoryid", "salesterritory"),
    ("salesorderheader", "customerid", "customer"), ("salesorderheader", "creditcardid", "creditcard"),
    ("salesorderdetail", "salesorderid", "salesorderheader"), ("salesorderdetail", "productid", "product"),
    ("store", "businessentityid", "businessentity"),
}  # fmt: skip
