-- Result of this session: where driver and car started and finished lately, and their standings.
WITH session AS (
    SELECT s.seed, s.cutoff, q.raceId, q.driverId, q.constructorId, q.number
    FROM seeds s
    JOIN qualifying q ON q.qualifyId = s.entity
),
past AS (
    SELECT a.seed, r.grid, r.positionOrder, r.points,
           ROW_NUMBER() OVER (PARTITION BY a.seed ORDER BY r.date DESC, r.grid, r.laps) AS back
    FROM session a
    JOIN results r ON r.driverId = a.driverId AND r.date < a.cutoff
),
driver AS (
    SELECT seed, COUNT(*) AS races,
           AVG(grid) FILTER (WHERE back <= 1 AND grid > 0) AS grid_1,
           AVG(grid) FILTER (WHERE back <= 3 AND grid > 0) AS grid_3,
           AVG(grid) FILTER (WHERE back <= 10 AND grid > 0) AS grid_10,
           AVG(grid) FILTER (WHERE back <= 20 AND grid > 0) AS grid_20,
           AVG(positionOrder) FILTER (WHERE back <= 5) AS position_5,
           AVG(points) FILTER (WHERE back <= 10) AS points_10
    FROM past
    GROUP BY seed
),
car AS (
    SELECT a.seed,
           AVG(r.grid) FILTER (WHERE r.date >= a.cutoff - INTERVAL '40 days') AS car_grid_40d,
           AVG(r.grid) FILTER (WHERE r.date >= a.cutoff - INTERVAL '120 days') AS car_grid_120d,
           AVG(r.grid) AS car_grid_1y,
           AVG(r.points) AS car_points_1y
    FROM session a
    JOIN results r ON r.constructorId = a.constructorId AND r.date < a.cutoff AND r.date >= a.cutoff - INTERVAL '365 days'
    WHERE r.grid > 0
    GROUP BY a.seed
),
standing AS (
    SELECT a.seed, ARG_MAX(t.position, t.date) AS standing
    FROM session a
    JOIN standings t ON t.driverId = a.driverId AND t.date < a.cutoff
    GROUP BY a.seed
),
here AS (
    SELECT a.seed, AVG(r.grid) AS grid_here, COUNT(*) AS starts_here
    FROM session a
    JOIN races g ON g.raceId = a.raceId
    JOIN races h ON h.circuitId = g.circuitId AND h.date < a.cutoff
    JOIN results r ON r.raceId = h.raceId AND r.driverId = a.driverId AND r.date < a.cutoff
    GROUP BY a.seed
),
entered AS (
    SELECT a.raceId, a.cutoff, COUNT(*) / COUNT(DISTINCT r.raceId) AS starters_1y
    FROM (SELECT DISTINCT raceId, cutoff FROM session) a
    JOIN results r ON r.date < a.cutoff AND r.date >= a.cutoff - INTERVAL '365 days'
    GROUP BY a.raceId, a.cutoff
)
SELECT a.seed, a.number, v.* EXCLUDE (seed), c.* EXCLUDE (seed), t.standing, h.grid_here, h.starts_here, e.starters_1y,
       DATE_DIFF('day', d.dob, a.cutoff) / 365.25 AS age
FROM session a
LEFT JOIN drivers d ON d.driverId = a.driverId
LEFT JOIN driver v ON v.seed = a.seed
LEFT JOIN car c ON c.seed = a.seed
LEFT JOIN standing t ON t.seed = a.seed
LEFT JOIN here h ON h.seed = a.seed
LEFT JOIN entered e ON e.raceId = a.raceId AND e.cutoff = a.cutoff
