-- One legacy CSP report a POST, from 200 different violations of a few sites.
local policy = "default-src 'none'; script-src 'self' 'nonce-abcdefgh'; style-src 'self'; img-src 'self'; report-uri /csp/reports"
local directives = { "script-src-elem", "img-src", "style-src-elem", "connect-src", "font-src" }
local requests, turn = {}, 0

local function body(i)
  local page = string.format("https://site%d.example/area/%d/page", i % 10, i)
  local blocked = string.format("https://cdn%d.example/assets/bundle-%d.js?v=%d", i % 50, i, i)
  if i % 9 == 0 then blocked = "inline" end
  return string.format(
    '{"csp-report":{"document-uri":"%s","referrer":"","violated-directive":"%s","effective-directive":"%s",' ..
    '"original-policy":"%s","disposition":"%s","blocked-uri":"%s","status-code":200,"script-sample":"",' ..
    '"source-file":"%s","line-number":%d,"column-number":9}}',
    page, directives[i % 5 + 1], directives[i % 5 + 1], policy, i % 3 == 0 and "report" or "enforce", blocked, page, i)
end

function init()
  local headers = {
    ["Content-Type"] = "application/csp-report",
    ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
  }
  for i = 1, 200 do requests[i] = wrk.format("POST", nil, headers, body(i)) end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format("RESULT %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end
