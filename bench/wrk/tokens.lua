-- Asks with each token of a file once, or always with the only one that is in it.

local tokens = {}
local number = 0

function init(arguments)
  for token in io.lines(arguments[1]) do
    tokens[#tokens + 1] = token
  end
end

function request()
  if #tokens == 1 then
    number = 1
  else
    number = number + 1
  end
  -- Beyond the last one this fails, and wrk with it.
  wrk.headers["Authorization"] = "Bearer " .. tokens[number]
  return wrk.format()
end
