-- Whether the customer makes a fraudulent return: own returns, and those of others with the same address or device.
WITH returned AS (
    SELECT x.customer_id, x.time AS bought, r.time, r.reason, r.refund, u.address_id, u.device_id
    FROM returns r
    JOIN lines l ON l.line_id = r.line_id
    JOIN transactions x ON x.transaction_id = l.transaction_id
    JOIN customers u ON u.customer_id = x.customer_id
),
own AS (
    SELECT s.seed, COUNT(*) AS returns,
           COUNT(*) FILTER (WHERE r.time >= s.cutoff - INTERVAL '30 days') AS returns_30d,
           COUNT(*) FILTER (WHERE r.time >= s.cutoff - INTERVAL '90 days') AS returns_90d,
           COUNT(*) FILTER (WHERE r.reason = 'fraud') AS frauds,
           DATE_DIFF('day', MAX(r.time) FILTER (WHERE r.reason = 'fraud'), ANY_VALUE(s.cutoff)) AS days_since_fraud,
           SUM(r.refund) AS refunds, AVG(EPOCH(r.time - r.bought)) / 86400 AS days_kept
    FROM seeds s
    JOIN returned r ON r.customer_id = s.entity AND r.time < s.cutoff
    GROUP BY s.seed
),
linked AS (
    SELECT s.seed, s.cutoff, o.customer_id, o.joined, COALESCE(o.address_id = c.address_id, FALSE) AS same_address,
           COALESCE(o.device_id = c.device_id, FALSE) AS same_device
    FROM seeds s
    JOIN customers c ON c.customer_id = s.entity
    JOIN customers o ON o.customer_id <> c.customer_id AND o.joined < s.cutoff
     AND (o.address_id = c.address_id OR o.device_id = c.device_id)
),
others AS (
    SELECT seed, COUNT(*) FILTER (WHERE same_address) AS others_address, COUNT(*) FILTER (WHERE same_device) AS others_device,
           DATE_DIFF('day', MAX(joined), ANY_VALUE(cutoff)) AS days_since_other_joined
    FROM linked
    GROUP BY seed
),
ring AS (
    SELECT k.seed, COUNT(*) AS ring_returns, COUNT(*) FILTER (WHERE r.reason = 'fraud') AS ring_frauds,
           COUNT(*) FILTER (WHERE r.reason = 'fraud' AND r.time >= k.cutoff - INTERVAL '30 days') AS ring_frauds_30d,
           COUNT(*) FILTER (WHERE r.reason = 'fraud' AND r.time >= k.cutoff - INTERVAL '90 days') AS ring_frauds_90d,
           COUNT(*) FILTER (WHERE r.reason = 'fraud' AND k.same_address) AS address_frauds,
           COUNT(*) FILTER (WHERE r.reason = 'fraud' AND k.same_device) AS device_frauds,
           DATE_DIFF('day', MAX(r.time) FILTER (WHERE r.reason = 'fraud'), ANY_VALUE(k.cutoff)) AS days_since_ring_fraud
    FROM linked k
    JOIN returned r ON r.customer_id = k.customer_id AND r.time < k.cutoff
    GROUP BY k.seed
),
bought AS (
    SELECT s.seed, COUNT(*) AS bought, SUM(x.amount) AS spent, AVG(x.amount) AS basket,
           COUNT(*) FILTER (WHERE x.time >= s.cutoff - INTERVAL '30 days') AS bought_30d,
           COUNT(*) FILTER (WHERE x.time >= s.cutoff - INTERVAL '90 days') AS bought_90d,
           DATE_DIFF('day', MAX(x.time), ANY_VALUE(s.cutoff)) AS days_since,
           AVG(CAST(x.payment = 'card' AS INT)) AS card_share
    FROM seeds s
    JOIN transactions x ON x.customer_id = s.entity AND x.time < s.cutoff
    GROUP BY s.seed
)
SELECT s.seed, o.* EXCLUDE (seed), t.* EXCLUDE (seed), r.* EXCLUDE (seed), b.* EXCLUDE (seed),
       o.returns / NULLIF(b.bought, 0) AS return_rate, DATE_DIFF('day', c.joined, s.cutoff) AS days_joined,
       a.kind AS address_kind, d.kind AS device_kind
FROM seeds s
JOIN customers c ON c.customer_id = s.entity
LEFT JOIN own o ON o.seed = s.seed
LEFT JOIN others t ON t.seed = s.seed
LEFT JOIN ring r ON r.seed = s.seed
LEFT JOIN bought b ON b.seed = s.seed
LEFT JOIN addresses a ON a.address_id = c.address_id AND a.known_since < s.cutoff
LEFT JOIN devices d ON d.device_id = c.device_id AND d.known_since < s.cutoff
