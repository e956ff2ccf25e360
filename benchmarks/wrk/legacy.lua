-- wrk -s legacy.lua URL: one legacy CSP report a POST.
local here = debug.getinfo(1, "S").source:match("@(.*/)") or "./"
local common = dofile(here .. "common.lua")

local function body(i)
  local page, directive, disposition, blocked = common.fields(i)
  return string.format(
    '{"csp-report":{"document-uri":"%s","referrer":"","violated-directive":"%s","effective-directive":"%s",' ..
    '"original-policy":"%s","disposition":"%s","blocked-uri":"%s","status-code":200,"script-sample":"",' ..
    '"source-file":"%s","line-number":%d,"column-number":9}}',
    page, directive, directive, common.policy, disposition, blocked, page, i)
end

function init()
  request = common.send("application/csp-report", body)
end
