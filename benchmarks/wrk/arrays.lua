-- wrk -s arrays.lua URL -- N: an array of N reports a POST, as the Reporting API sends them, from the same 200 violations.
local policy = "default-src 'none'; script-src 'self' 'nonce-abcdefgh'; style-src 'self'; img-src 'self'; report-to csp"
local directives = { "script-src-elem", "img-src", "style-src-elem", "connect-src", "font-src" }
local agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
local requests, turn = {}, 0

local function report(i)
  local page = string.format("https://site%d.example/area/%d/page", i % 10, i)
  local blocked = string.format("https://cdn%d.example/assets/bundle-%d.js?v=%d", i % 50, i, i)
  if i % 9 == 0 then blocked = "inline" end
  return string.format(
    '{"type":"csp-violation","age":%d,"url":"%s","user_agent":"%s","body":{"documentURL":"%s","referrer":"",' ..
    '"effectiveDirective":"%s","originalPolicy":"%s","disposition":"%s","blockedURL":"%s","statusCode":200,"sample":"",' ..
    '"sourceFile":"%s","lineNumber":%d,"columnNumber":9}}',
    i * 10, page, agent, page, directives[i % 5 + 1], policy, i % 3 == 0 and "report" or "enforce", blocked, page, i)
end

function init(args)
  local size = tonumber(args[1])
  local headers = { ["Content-Type"] = "application/reports+json", ["User-Agent"] = agent }
  for i = 1, 200 do
    local list = {}
    for k = 1, size do list[k] = report((i + k - 2) % 200 + 1) end
    requests[i] = wrk.format("POST", nil, headers, "[" .. table.concat(list, ",") .. "]")
  end
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
