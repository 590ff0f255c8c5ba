-- Mean finishing position of the driver: recent finishes, starts and retirements, the car's, and experience.
WITH past AS (
    SELECT s.seed, s.cutoff, r.date, r.constructorId, r.grid, r.positionOrder, r.points, r.laps,
           CAST(r.statusId <> 1 AS INT) AS failed,
           ROW_NUMBER() OVER (PARTITION BY s.seed ORDER BY r.date DESC, r.grid, r.laps) AS back
    FROM seeds s
    JOIN results r ON r.driverId = s.entity AND r.date < s.cutoff
),
own AS (
    SELECT seed,
           COUNT(*) AS races,
           AVG(positionOrder) AS position_ever,
           AVG(positionOrder) FILTER (WHERE back <= 1) AS position_1,
           AVG(positionOrder) FILTER (WHERE back <= 3) AS position_3,
           AVG(positionOrder) FILTER (WHERE back <= 5) AS position_5,
           AVG(positionOrder) FILTER (WHERE back <= 10) AS position_10,
           AVG(positionOrder) FILTER (WHERE back <= 20) AS position_20,
           STDDEV(positionOrder) FILTER (WHERE back <= 10) AS spread_10,
           AVG(grid) FILTER (WHERE back <= 5) AS grid_5,
           AVG(grid) FILTER (WHERE back <= 20) AS grid_20,
           AVG(points) FILTER (WHERE back <= 10) AS points_10,
           AVG(laps) FILTER (WHERE back <= 10) AS laps_10,
           AVG(failed) FILTER (WHERE back <= 10) AS failed_10,
           DATE_DIFF('day', MAX(date), ANY_VALUE(cutoff)) AS days_since_race,
           COUNT(*) FILTER (WHERE date >= cutoff - INTERVAL '365 days') AS races_1y,
           MAX(constructorId) FILTER (WHERE back = 1) AS constructorId
    FROM past
    GROUP BY seed
),
car AS (
    SELECT s.seed,
           AVG(r.positionOrder) FILTER (WHERE r.date >= s.cutoff - INTERVAL '90 days') AS car_position_90d,
           AVG(r.positionOrder) AS car_position_1y,
           AVG(r.grid) AS car_grid_1y
    FROM seeds s
    JOIN own o ON o.seed = s.seed
    JOIN results r ON r.constructorId = o.constructorId AND r.date < s.cutoff AND r.date >= s.cutoff - INTERVAL '365 days'
    GROUP BY s.seed
),
standing AS (
    SELECT s.seed, ARG_MAX(t.position, t.date) AS standing, ARG_MAX(t.wins, t.date) AS wins
    FROM seeds s
    JOIN standings t ON t.driverId = s.entity AND t.date < s.cutoff
    GROUP BY s.seed
),
field AS (
    -- the number of starters bounds the position
    SELECT c.cutoff, COUNT(*) / COUNT(DISTINCT r.raceId) AS starters_1y
    FROM (SELECT DISTINCT cutoff FROM seeds) c
    JOIN results r ON r.date < c.cutoff AND r.date >= c.cutoff - INTERVAL '365 days'
    GROUP BY c.cutoff
)
SELECT s.seed, o.* EXCLUDE (seed, constructorId), c.* EXCLUDE (seed), t.* EXCLUDE (seed), f.starters_1y,
       DATE_DIFF('day', d.dob, s.time) / 365.25 AS age
FROM seeds s
JOIN drivers d ON d.driverId = s.entity
LEFT JOIN own o ON o.seed = s.seed
LEFT JOIN car c ON c.seed = s.seed
LEFT JOIN standing t ON t.seed = s.seed
LEFT JOIN field f ON f.cutoff = s.cutoff
