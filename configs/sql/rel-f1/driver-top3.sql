-- Whether the driver qualifies in the top three: qualifying and grid positions, the car's, and points in the standings.
WITH starts AS (
    SELECT s.seed, s.cutoff, r.date, r.constructorId, r.grid, r.positionOrder, r.points,
           ROW_NUMBER() OVER (PARTITION BY s.seed ORDER BY r.date DESC, r.grid, r.laps) AS back
    FROM seeds s
    JOIN results r ON r.driverId = s.entity AND r.date < s.cutoff
),
own AS (
    SELECT seed,
           COUNT(*) AS races,
           AVG(grid) FILTER (WHERE back <= 1 AND grid > 0) AS grid_1,
           AVG(grid) FILTER (WHERE back <= 3 AND grid > 0) AS grid_3,
           AVG(grid) FILTER (WHERE back <= 10 AND grid > 0) AS grid_10,
           AVG(grid) FILTER (WHERE back <= 20 AND grid > 0) AS grid_20,
           MIN(grid) FILTER (WHERE back <= 10 AND grid > 0) AS best_grid_10,
           AVG(CAST(grid BETWEEN 1 AND 3 AS INT)) FILTER (WHERE back <= 10) AS front_10,
           AVG(CAST(grid BETWEEN 1 AND 3 AS INT)) AS front_ever,
           AVG(positionOrder) FILTER (WHERE back <= 5) AS position_5,
           AVG(points) FILTER (WHERE back <= 5) AS points_5,
           SUM(points) FILTER (WHERE date >= cutoff - INTERVAL '365 days') AS points_1y,
           DATE_DIFF('day', MAX(date), ANY_VALUE(cutoff)) AS days_since_race,
           MAX(constructorId) FILTER (WHERE back = 1) AS constructorId
    FROM starts
    GROUP BY seed
),
sessions AS (
    SELECT s.seed, q.position, ROW_NUMBER() OVER (PARTITION BY s.seed ORDER BY q.date DESC, q.position) AS back
    FROM seeds s
    JOIN qualifying q ON q.driverId = s.entity AND q.date < s.cutoff
),
qualified AS (
    SELECT seed,
           AVG(position) FILTER (WHERE back <= 1) AS qualified_1,
           AVG(position) FILTER (WHERE back <= 3) AS qualified_3,
           AVG(position) FILTER (WHERE back <= 10) AS qualified_10,
           MIN(position) FILTER (WHERE back <= 5) AS best_qualified_5,
           AVG(CAST(position <= 3 AS INT)) FILTER (WHERE back <= 10) AS top3_10,
           AVG(CAST(position <= 3 AS INT)) AS top3_ever
    FROM sessions
    GROUP BY seed
),
car AS (
    SELECT s.seed,
           AVG(r.grid) FILTER (WHERE r.date >= s.cutoff - INTERVAL '90 days') AS car_grid_90d,
           AVG(r.grid) AS car_grid_1y,
           AVG(r.points) AS car_points_1y
    FROM seeds s
    JOIN own o ON o.seed = s.seed
    JOIN results r ON r.constructorId = o.constructorId AND r.date < s.cutoff AND r.date >= s.cutoff - INTERVAL '365 days'
    WHERE r.grid > 0
    GROUP BY s.seed
)
SELECT s.seed, o.* EXCLUDE (seed, constructorId), q.* EXCLUDE (seed), c.* EXCLUDE (seed),
       DATE_DIFF('day', d.dob, s.time) / 365.25 AS age
FROM seeds s
JOIN drivers d ON d.driverId = s.entity
LEFT JOIN own o ON o.seed = s.seed
LEFT JOIN qualified q ON q.seed = s.seed
LEFT JOIN car c ON c.seed = s.seed
