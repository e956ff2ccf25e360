-- wrk -s arrays.lua URL -- N: an array of N reports a POST, in the order of keys in which Chromium sends them. The same report
-- comes with many ages.
local here = debug.getinfo(1, "S").source:match("@(.*/)") or "./"
local common = dofile(here .. "common.lua")

local function report(i, age)
  local page, directive, disposition, blocked = common.fields(i)
  return string.format(
    '{"age":%d,"body":{"blockedURL":"%s","columnNumber":9,"disposition":"%s","documentURL":"%s","effectiveDirective":"%s",' ..
    '"lineNumber":%d,"originalPolicy":"%s","referrer":"","sample":"","sourceFile":"%s","statusCode":200},' ..
    '"type":"csp-violation","url":"%s","user_agent":"%s"}',
    age, blocked, disposition, page, directive, i, common.policy, page, page, common.agent)
end

function init(args)
  local size = tonumber(args[1])
  request = common.send("application/reports+json", function(i)
    local list = {}
    for k = 1, size do list[k] = report((i + k - 2) % common.variants + 1, i * 7 + k * 311) end
    return "[" .. table.concat(list, ",") .. "]"
  end)
end
