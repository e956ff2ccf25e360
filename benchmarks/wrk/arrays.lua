-- wrk -s arrays.lua URL -- N: an array of N reports a POST, as the Reporting API sends them.
local here = debug.getinfo(1, "S").source:match("@(.*/)") or "./"
local common = dofile(here .. "common.lua")

local function report(i)
  local page, directive, disposition, blocked = common.fields(i)
  return string.format(
    '{"type":"csp-violation","age":%d,"url":"%s","user_agent":"%s","body":{"documentURL":"%s","referrer":"",' ..
    '"effectiveDirective":"%s","originalPolicy":"%s","disposition":"%s","blockedURL":"%s","statusCode":200,"sample":"",' ..
    '"sourceFile":"%s","lineNumber":%d,"columnNumber":9}}',
    i * 10, page, common.agent, page, directive, common.policy, disposition, blocked, page, i)
end

function init(args)
  local size = tonumber(args[1])
  request = common.send("application/reports+json", function(i)
    local list = {}
    for k = 1, size do list[k] = report((i + k - 2) % common.variants + 1) end
    return "[" .. table.concat(list, ",") .. "]"
  end)
end
