--
-- A page for people: the last hours in one HTML document that needs no other file
--

CREATE FUNCTION roleferry.html_text(text text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT replace(replace(replace(replace(html_text.text, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;');
END;
COMMENT ON FUNCTION roleferry.html_text(text) IS 'a text as it stands in HTML, between tags or in quotes';

CREATE FUNCTION roleferry.report_bars(title text, begins timestamptz, step interval, counts bigint[])
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT format('<figure><figcaption>%s: %s</figcaption><svg viewBox="0 0 %s 130" role="img" aria-label="%s">',
                  roleferry.html_text(title), sum(c.n), 10 * cardinality(counts), roleferry.html_text(title))
           || coalesce(string_agg(format('<rect x="%s" y="%s" width="9" height="%s"><title>%s: %s</title></rect>',
                                         10 * (c.i - 1), round(105 - 90.0 * c.n / m.most, 1), round(90.0 * c.n / m.most, 1),
                                         to_char(begins + (c.i - 1) * step, 'Mon DD HH24:MI'), c.n), '' ORDER BY c.i)
                       FILTER (WHERE c.n > 0), '')
           || format('<line x1="0" y1="105.5" x2="%1$s" y2="105.5"/><text x="0" y="10">%2$s</text><text x="0" y="122">%3$s</text>'
                     '<text x="%1$s" y="122" text-anchor="end">%4$s</text></svg></figure>',
                     10 * cardinality(counts), max(m.most), to_char(begins, 'Mon DD HH24:MI'),
                     to_char(begins + cardinality(counts) * step, 'Mon DD HH24:MI'))
      FROM unnest(counts) WITH ORDINALITY AS c (n, i)
     CROSS JOIN (SELECT greatest(max(u.n), 1) AS most FROM unnest(counts) AS u (n)) AS m;
END;
COMMENT ON FUNCTION roleferry.report_bars(text, timestamptz, interval, bigint[]) IS
'one chart of report(): bars that begin at a time and are a step wide, as SVG';

CREATE FUNCTION roleferry.report_table(title text, head text[], body text[])
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT format('<h2>%s</h2>', roleferry.html_text(title))
           || CASE WHEN coalesce(cardinality(body), 0) = 0 THEN '<p>none</p>'
              ELSE '<table><thead><tr>'
                   || (SELECT string_agg(format('<th>%s</th>', roleferry.html_text(h)), '' ORDER BY i)
                         FROM unnest(head) WITH ORDINALITY AS t (h, i))
                   || '</tr></thead><tbody>'
                   || (SELECT string_agg(CASE WHEN (i - 1) % cardinality(head) = 0 THEN '<tr>' ELSE '' END
                                         || format('<td>%s</td>', coalesce(roleferry.html_text(b), ''))
                                         || CASE WHEN i % cardinality(head) = 0 THEN '</tr>' ELSE '' END, '' ORDER BY i)
                         FROM unnest(body) WITH ORDINALITY AS t (b, i))
                   || '</tbody></table>' END;
END;
COMMENT ON FUNCTION roleferry.report_table(text, text[], text[]) IS
'one table of report(): the cells of body row by row, as many to a row as head has';

-- Runs with its caller's rights: whoever may read the views may have the page.
CREATE FUNCTION roleferry.report(hours integer DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bars    constant integer := 96;
    span    constant interval := make_interval(hours => coalesce(report.hours, 24));
    step    constant interval := span / bars;
    begins  constant timestamptz := now() - span;
    page    text;
BEGIN
    IF coalesce(report.hours, 24) NOT BETWEEN 1 AND 24 * 400 THEN
        RAISE EXCEPTION 'invalid value for "hours": %', report.hours
            USING ERRCODE = '22023', HINT = 'Give 1 to 9600 hours.';
    END IF;

    page := format('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>roleferry: %1$s</title><style>'
        'body{font:14px system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#1f2933;background:#fff}'
        'h1{font-size:1.5rem}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}figure{margin:1rem 0}figcaption{font-weight:600;margin-bottom:.2rem}'
        'svg{width:100%%;height:auto;background:#f7f9fb;border-radius:4px}rect{fill:#2f6fab}line{stroke:#9aa5b1}text{font-size:11px;fill:#52606d}'
        'table{border-collapse:collapse;width:100%%}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #e4e7eb;vertical-align:top}'
        'th{font-weight:600;color:#52606d}.bad{color:#b42318;font-weight:600}.good{color:#1d7a46;font-weight:600}</style></head><body>'
        '<h1>roleferry in %1$s</h1><p>%2$s, the last %3$s hours</p>',
        roleferry.html_text(current_database()::text), to_char(now(), 'YYYY-MM-DD HH24:MI:SS TZ'), coalesce(report.hours, 24));
    page := page || (SELECT CASE WHEN h.healthy THEN '<p class="good">The dispatcher runs, and this database may send.</p>'
                            ELSE format('<p class="bad">%s</p>', roleferry.html_text(h.reason)) END FROM roleferry.healthy() h);

    page := page || roleferry.report_bars('Mails sent', begins, step, ARRAY(
        SELECT coalesce(m.n, 0) FROM generate_series(1, bars) b
          LEFT JOIN (SELECT width_bucket(extract(epoch FROM sent_at), extract(epoch FROM begins), extract(epoch FROM now()), bars) AS bar, count(*) AS n
                       FROM roleferry.message WHERE sent_at > begins GROUP BY 1) m ON m.bar = b ORDER BY b));
    page := page || coalesce((SELECT string_agg(roleferry.report_bars('Jobs that ended as ' || s.state, begins, step, ARRAY(
        SELECT coalesce(d.n, 0) FROM generate_series(1, bars) b
          LEFT JOIN (SELECT width_bucket(extract(epoch FROM finished_at), extract(epoch FROM begins), extract(epoch FROM now()), bars) AS bar, count(*) AS n
                       FROM roleferry.dead_letter WHERE finished_at > begins AND state = s.state GROUP BY 1) d ON d.bar = b ORDER BY b)), '' ORDER BY s.state)
          FROM (SELECT DISTINCT state FROM roleferry.dead_letter WHERE finished_at > begins) s), '');

    page := page || roleferry.report_table('Accounts', '{account,provider,state,why,until}', ARRAY(
        SELECT c FROM roleferry.accounts a, unnest(ARRAY[a.account, a.provider, a.state, a.reason, a.until::text]) WITH ORDINALITY AS u (c, i)
         ORDER BY a.account, i));
    page := page || roleferry.report_table('Requests since the statistics began',
        '{account,requests,succeeded,p50 ms,p95 ms,p99 ms,last failure,why}', ARRAY(
        SELECT c FROM roleferry.stat_accounts a,
               unnest(ARRAY[a.account, a.calls::text, (a.ok + a.miss + a.pending)::text, round(a.p50_ms)::text, round(a.p95_ms)::text,
                            round(a.p99_ms)::text, to_char(a.failed_at, 'YYYY-MM-DD HH24:MI:SS'), a.failed_reason]) WITH ORDINALITY AS u (c, i)
         ORDER BY a.account, i));
    page := page || roleferry.report_table('Why jobs ended otherwise', '{state,account,reason,jobs,last}', ARRAY(
        -- What a SQL task said may name somebody; the page goes from hand to hand.
        SELECT c FROM (SELECT state, account, regexp_replace(reason, '[^\s<>"'']+@[^\s<>"'']+', '<address>', 'g') AS reason,
                              count(*) AS n, max(finished_at) AS last FROM roleferry.dead_letter
                        WHERE finished_at > begins GROUP BY 1, 2, 3 ORDER BY n DESC, last DESC LIMIT 20) r,
               unnest(ARRAY[r.state, r.account, r.reason, r.n::text, to_char(r.last, 'YYYY-MM-DD HH24:MI:SS')]) WITH ORDINALITY AS u (c, i)
         ORDER BY r.n DESC, r.last DESC, r.state, r.account, r.reason, i));
    page := page || roleferry.report_table('Circuits that changed', '{at,account,from,to,why}', ARRAY(
        SELECT c FROM (SELECT * FROM roleferry.circuit_event WHERE at > begins ORDER BY at DESC LIMIT 20) e,
               unnest(ARRAY[to_char(e.at, 'YYYY-MM-DD HH24:MI:SS'), e.account, e.from_state, e.to_state, e.reason]) WITH ORDINALITY AS u (c, i)
         ORDER BY e.at DESC, e.account, i));
    RETURN page || '</body></html>';
END
$$;
COMMENT ON FUNCTION roleferry.report(integer) IS
'the last hours (24 unless said) as one HTML page with charts: what was sent, what was not and why, accounts and circuits';
