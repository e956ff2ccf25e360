-- What both scripts send: 200 different reports of a few sites, and one line of result.
local M = { variants = 200 }

M.agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
M.policy = "default-src 'none'; script-src 'self' 'nonce-abcdefgh'; style-src 'self'; img-src 'self'; report-uri /csp/reports"

local directives = { "script-src-elem", "img-src", "style-src-elem", "connect-src", "font-src" }

-- The page, the directive, the disposition and what was blocked, of report i.
function M.fields(i)
  local page = string.format("https://site%d.example/area/%d/page", i % 10, i)
  local blocked = string.format("https://cdn%d.example/assets/bundle-%d.js?v=%d", i % 50, i, i)
  if i % 9 == 0 then blocked = "inline" end
  return page, directives[i % 5 + 1], i % 3 == 0 and "report" or "enforce", blocked
end

-- Every request is made before the first is sent, so that one costs wrk a look into a table.
function M.send(media, body)
  local requests, turn = {}, 0
  local headers = { ["Content-Type"] = media, ["User-Agent"] = M.agent }
  for i = 1, M.variants do requests[i] = wrk.format("POST", nil, headers, body(i)) end
  return function()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format("RESULT %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end

return M
