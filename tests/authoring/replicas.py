"""Small replicas of public databases, as folders of CSV files: their tables, names and habits, with made-up rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

Columns = Mapping[str, Sequence[object] | np.ndarray]


def _write(folder: Path, tables: Mapping[str, Columns]) -> Path:
    folder.mkdir(parents=True)
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False)
    return folder


def _days(count: int, first: str = "2018-01-01", every: str = "1D") -> list[str]:
    return [str(day) for day in pd.date_range(first, periods=count, freq=every)]


def _some(rng: np.random.Generator, keys: Sequence[object], count: int) -> list[object]:
    """Keys drawn at random, each at least once where there is room."""
    every = [*keys][:count]
    return [*every, *(keys[i] for i in rng.integers(0, len(keys), count - len(every)))]


def world_cup(folder: Path) -> Path:
    """Football: every table counts its rows in `key_id`, what is referred to has a text key of its own."""
    rng = np.random.default_rng(1)
    cups = [f"WC-{year}" for year in range(1950, 2010, 4)]
    teams = [f"T-{i:02}" for i in range(1, 31)]
    players = [f"P-{i:05}" for i in rng.permutation(400)]
    grounds = [f"S-{i:03}" for i in range(1, 26)]
    matches = [f"M-{i:04}" for i in range(1, 301)]
    awards = [f"A-{i}" for i in range(1, 7)]
    cup_of = [cups[i // 20] for i in range(300)]
    day_of = [f"{cup[3:]}-06-{1 + i % 20:02}" for i, cup in enumerate(cup_of)]
    home, away = _some(rng, teams, 300), _some(rng, teams[::-1], 300)
    at = rng.integers(0, 300, 900)
    picked = rng.integers(0, 300, 700)

    def counted(columns: Columns) -> Columns:
        count = len(next(iter(columns.values())))
        return {"key_id": range(1, count + 1), **columns}

    return _write(folder, {
        "tournaments": counted({"tournament_id": cups, "tournament_name": [f"Cup {c[3:]}" for c in cups],
            "year": [int(c[3:]) for c in cups], "start_date": [f"{c[3:]}-06-01" for c in cups],
            "end_date": [f"{c[3:]}-06-30" for c in cups], "count_teams": 16}),
        "teams": counted({"team_id": teams, "team_name": [f"Team {t}" for t in teams], "team_code": [f"X{t[2:]}" for t in teams]}),
        "players": counted({"player_id": players, "family_name": [f"N{i % 90}" for i in range(400)], "count_tournaments": 1}),
        "stadiums": counted({"stadium_id": grounds, "stadium_capacity": range(20_000, 45_000, 1_000)}),
        "awards": counted({"award_id": awards, "award_name": [f"Award {a}" for a in awards]}),
        "matches": counted({"tournament_id": cup_of, "match_id": matches, "match_name": [f"{a} v {b}" for a, b in zip(home, away, strict=True)],
            "stage_number": [1 + i % 5 for i in range(300)], "match_date": day_of, "stadium_id": _some(rng, grounds, 300),
            "home_team_id": home, "away_team_id": away, "home_team_score": rng.integers(0, 5, 300)}),
        "goals": counted({"goal_id": [f"G-{i:04}" for i in range(1, 901)], "tournament_id": [cup_of[i] for i in at],
            "match_id": [matches[i] for i in at], "match_date": [day_of[i] for i in at], "team_id": [home[i] for i in at],
            "player_id": _some(rng, players, 900), "player_team_id": [home[i] for i in at], "minute_regulation": rng.integers(1, 91, 900)}),
        "squads": counted({"tournament_id": _some(rng, cups, 600), "team_id": _some(rng, teams, 600),
            "player_id": _some(rng, players, 600), "shirt_number": [1 + i % 23 for i in range(600)]}),
        "team_appearances": counted({"match_id": [matches[i] for i in picked], "team_id": [home[i] for i in picked],
            "opponent_id": [away[i] for i in picked], "goals_for": rng.integers(0, 5, 700)}),
        "award_winners": counted({"tournament_id": _some(rng, cups, 60), "award_id": _some(rng, awards, 60),
            "player_id": _some(rng, players, 60), "shared": rng.integers(0, 2, 60)}),
        "group_standings": counted({"tournament_id": _some(rng, cups, 200), "team_id": _some(rng, teams, 200),
            "position": [1 + i % 4 for i in range(200)], "points": rng.integers(0, 9, 200)}),
    })  # fmt: skip


WORLD_CUP_KEYS = {
    "tournaments": "tournament_id", "teams": "team_id", "players": "player_id", "stadiums": "stadium_id", "awards": "award_id",
    "matches": "match_id", "goals": "goal_id", "squads": "key_id", "team_appearances": "key_id", "award_winners": "key_id",
    "group_standings": "key_id",
}  # fmt: skip
WORLD_CUP_REFERENCES = {
    ("matches", "tournament_id", "tournaments"), ("matches", "stadium_id", "stadiums"), ("matches", "home_team_id", "teams"),
    ("matches", "away_team_id", "teams"), ("goals", "tournament_id", "tournaments"), ("goals", "match_id", "matches"),
    ("goals", "team_id", "teams"), ("goals", "player_id", "players"), ("goals", "player_team_id", "teams"),
    ("squads", "tournament_id", "tournaments"), ("squads", "team_id", "teams"), ("squads", "player_id", "players"),
    ("team_appearances", "match_id", "matches"), ("team_appearances", "team_id", "teams"),
    ("award_winners", "tournament_id", "tournaments"), ("award_winners", "award_id", "awards"),
    ("award_winners", "player_id", "players"), ("group_standings", "tournament_id", "tournaments"),
    ("group_standings", "team_id", "teams"),
}  # fmt: skip


def movielens(folder: Path) -> Path:
    """Ratings in seconds since 1970 by users that no table lists; `links` has the keys of `movies` as its own."""
    rng = np.random.default_rng(2)
    movies = np.arange(1, 121)
    users = np.arange(1, 61)
    when = np.sort(rng.integers(1_400_000_000, 1_500_000_000, 2_000))
    tagged = np.sort(rng.integers(1_400_000_000, 1_500_000_000, 300))
    return _write(folder, {
        "movies": {"movieId": movies, "title": [f"Film {i} ({1950 + i % 60})" for i in movies], "genres": ["Comedy|Drama", "Action"] * 60},
        "links": {"movieId": movies, "imdbId": [f"{100_000 + 7 * i:07}" for i in movies], "tmdbId": rng.permutation(5_000)[:120]},
        "ratings": {"userId": rng.choice(users, 2_000), "movieId": rng.choice(movies, 2_000), "rating": rng.integers(1, 11, 2_000) / 2,
            "timestamp": when},
        "tags": {"userId": rng.choice(users[:40], 300), "movieId": rng.choice(movies, 300), "tag": ["funny", "slow", "classic"] * 100,
            "timestamp": tagged},
    })  # fmt: skip


MOVIELENS_REFERENCES = {("links", "movieId", "movies"), ("ratings", "movieId", "movies"), ("tags", "movieId", "movies")}


def chinook(folder: Path) -> Path:
    """A music shop: every key counts from 1, names in camel case, tables in the singular."""
    rng = np.random.default_rng(3)

    def count(n: int) -> range:
        return range(1, n + 1)

    def of(n: int, rows: int) -> list[object]:
        return _some(rng, list(count(n)), rows)

    return _write(folder, {
        "Artist": {"ArtistId": count(40), "Name": [f"Artist {i}" for i in count(40)]},
        "Album": {"AlbumId": count(60), "Title": [f"Album {i}" for i in count(60)], "ArtistId": of(40, 60)},
        "Genre": {"GenreId": count(10), "Name": [f"Genre {i}" for i in count(10)]},
        "MediaType": {"MediaTypeId": count(5), "Name": [f"Type {i}" for i in count(5)]},
        "Track": {"TrackId": count(200), "Name": [f"Track {i}" for i in count(200)], "AlbumId": of(60, 200), "MediaTypeId": of(5, 200),
            "GenreId": of(10, 200), "Composer": [f"C{i % 30}" for i in count(200)], "Milliseconds": rng.integers(10**5, 10**6, 200)},
        "Employee": {"EmployeeId": count(8), "LastName": [f"E{i}" for i in count(8)], "ReportsTo": [None, 1, 2, 2, 2, 1, 6, 6],
            "HireDate": _days(8, "2002-04-01"), "BirthDate": _days(8, "1962-02-18")},
        "Customer": {"CustomerId": count(50), "FirstName": [f"F{i}" for i in count(50)], "SupportRepId": [3 + i % 3 for i in range(50)]},
        "Invoice": {"InvoiceId": count(300), "CustomerId": of(50, 300), "InvoiceDate": _days(300, "2009-01-01", "4D"),
            "BillingCity": [f"City {i % 20}" for i in range(300)], "Total": rng.integers(1, 20, 300) + 0.99},
        "InvoiceLine": {"InvoiceLineId": count(900), "InvoiceId": of(300, 900), "TrackId": of(200, 900), "UnitPrice": 0.99, "Quantity": 1},
        "Playlist": {"PlaylistId": count(12), "Name": [f"List {i}" for i in count(12)]},
        "PlaylistTrack": {"PlaylistId": [1 + i // 30 for i in range(360)], "TrackId": [1 + i % 199 for i in range(360)]},
    })  # fmt: skip


CHINOOK_REFERENCES = {
    ("Album", "ArtistId", "Artist"), ("Track", "AlbumId", "Album"), ("Track", "MediaTypeId", "MediaType"),
    ("Track", "GenreId", "Genre"), ("Invoice", "CustomerId", "Customer"), ("InvoiceLine", "InvoiceId", "Invoice"),
    ("InvoiceLine", "TrackId", "Track"), ("PlaylistTrack", "PlaylistId", "Playlist"), ("PlaylistTrack", "TrackId", "Track"),
}  # fmt: skip


def sakila(folder: Path) -> Path:
    """A film rental: two stores and two members of staff, a table that extends another, `last_update` everywhere."""
    rng = np.random.default_rng(4)

    def count(n: int) -> range:
        return range(1, n + 1)

    def of(n: int, rows: int) -> list[object]:
        return _some(rng, list(count(n)), rows)

    changed = "2006-02-15 04:34:33"
    return _write(folder, {
        "actor": {"actor_id": count(50), "first_name": [f"A{i}" for i in count(50)], "last_update": changed},
        "country": {"country_id": count(20), "country": [f"Land {i}" for i in count(20)], "last_update": changed},
        "city": {"city_id": count(60), "city": [f"Town {i}" for i in count(60)], "country_id": of(20, 60), "last_update": changed},
        "address": {"address_id": count(90), "address": [f"{i} Road" for i in count(90)], "city_id": of(60, 90), "last_update": changed},
        "language": {"language_id": count(6), "name": [f"L{i}" for i in count(6)], "last_update": changed},
        "category": {"category_id": count(16), "name": [f"K{i}" for i in count(16)], "last_update": changed},
        "film": {"film_id": count(100), "title": [f"Film {i}" for i in count(100)], "language_id": 1, "original_language_id": None,
            "rental_duration": of(5, 100), "last_update": changed},
        "film_text": {"film_id": count(100), "title": [f"Film {i}" for i in count(100)], "description": "words"},
        "film_actor": {"actor_id": [1 + i % 50 for i in range(250)], "film_id": [1 + i % 99 for i in range(250)], "last_update": changed},
        "film_category": {"film_id": count(100), "category_id": of(16, 100), "last_update": changed},
        "store": {"store_id": count(2), "manager_staff_id": [1, 2], "address_id": [1, 2], "last_update": changed},
        "staff": {"staff_id": count(2), "first_name": ["Mike", "Jon"], "address_id": [3, 4], "store_id": [1, 2], "username": ["Mike", "Jon"],
            "password": ["8cb2237d0679ca88db6464eac60da96345513964", None], "last_update": changed},
        "customer": {"customer_id": count(80), "store_id": of(2, 80), "address_id": range(5, 85), "create_date": "2006-02-14 22:04:36",
            "last_update": changed},
        "inventory": {"inventory_id": count(200), "film_id": of(100, 200), "store_id": of(2, 200), "last_update": changed},
        "rental": {"rental_id": count(600), "rental_date": _days(600, "2005-05-24", "5h"), "inventory_id": of(200, 600),
            "customer_id": of(80, 600), "return_date": _days(600, "2005-05-28", "5h"), "staff_id": of(2, 600), "last_update": changed},
        "payment": {"payment_id": count(600), "customer_id": of(80, 600), "staff_id": of(2, 600), "rental_id": count(600),
            "amount": rng.integers(1, 9, 600) + 0.99, "payment_date": _days(600, "2005-05-24", "5h"), "last_update": changed},
    })  # fmt: skip


SAKILA_REFERENCES = {
    ("city", "country_id", "country"), ("address", "city_id", "city"), ("film", "language_id", "language"),
    ("film_text", "film_id", "film"), ("film_actor", "actor_id", "actor"), ("film_actor", "film_id", "film"),
    ("film_category", "film_id", "film"), ("film_category", "category_id", "category"), ("store", "address_id", "address"),
    ("staff", "address_id", "address"), ("staff", "store_id", "store"), ("customer", "store_id", "store"),
    ("customer", "address_id", "address"), ("inventory", "film_id", "film"), ("inventory", "store_id", "store"),
    ("rental", "inventory_id", "inventory"), ("rental", "customer_id", "customer"), ("rental", "staff_id", "staff"),
    ("payment", "customer_id", "customer"), ("payment", "staff_id", "staff"), ("payment", "rental_id", "rental"),
}  # fmt: skip


def adventure_works(folder: Path) -> Path:
    """A bicycle maker, names run together in lower case; people, employees and customers share one count of keys."""
    rng = np.random.default_rng(5)
    people = list(range(1, 301))
    orders = list(range(43659, 43659 + 500))
    products = list(range(680, 780))
    return _write(folder, {
        "businessentity": {"businessentityid": people, "modifieddate": "2013-01-01"},
        "person": {"businessentityid": people[:250], "persontype": ["IN", "EM"] * 125, "lastname": [f"L{i}" for i in range(250)]},
        "employee": {"businessentityid": people[:40], "nationalidnumber": [f"{900_000_000 + i}" for i in range(40)],
            "jobtitle": ["Engineer", "Buyer"] * 20, "hiredate": _days(40, "2008-01-01")},
        "salesterritory": {"territoryid": range(1, 11), "name": [f"Land {i}" for i in range(10)]},
        "customer": {"customerid": range(11_000, 11_150), "personid": _some(rng, people[60:250], 150), "territoryid": _some(rng, range(1, 11), 150)},
        "productcategory": {"productcategoryid": range(1, 5), "name": ["Bikes", "Parts", "Clothes", "Other"]},
        "productsubcategory": {"productsubcategoryid": range(1, 21), "productcategoryid": _some(rng, range(1, 5), 20)},
        "product": {"productid": products, "productnumber": [f"BK-{i}" for i in products], "listprice": rng.integers(1, 900, 100) + 0.5,
            "productsubcategoryid": _some(rng, range(1, 21), 100), "sellstartdate": "2011-05-31"},
        "salesorderheader": {"salesorderid": orders, "orderdate": _days(500, "2011-05-31"), "duedate": _days(500, "2011-06-12"),
            "shipdate": _days(500, "2011-06-07"), "customerid": _some(rng, range(11_000, 11_150), 500),
            "territoryid": _some(rng, range(1, 11), 500), "creditcardapprovalcode": [f"1{i}Vi" for i in range(500)],
            "totaldue": rng.integers(10, 9_000, 500) + 0.25},
        "salesorderdetail": {"salesorderid": sorted(_some(rng, orders, 1_500)), "salesorderdetailid": range(1, 1_501),
            "productid": _some(rng, products, 1_500), "orderqty": rng.integers(1, 9, 1_500)},
    })  # fmt: skip


ADVENTURE_WORKS_REFERENCES = {
    ("person", "businessentityid", "businessentity"), ("employee", "businessentityid", "businessentity"),
    ("customer", "personid", "person"), ("customer", "territoryid", "salesterritory"),
    ("productsubcategory", "productcategoryid", "productcategory"), ("product", "productsubcategoryid", "productsubcategory"),
    ("salesorderheader", "customerid", "customer"), ("salesorderheader", "territoryid", "salesterritory"),
    ("salesorderdetail", "salesorderid", "salesorderheader"), ("salesorderdetail", "productid", "product"),
}  # fmt: skip
