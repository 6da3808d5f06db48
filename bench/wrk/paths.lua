-- Asks for the paths of a file, one after the other and from the beginning again.

local paths = {}
local number = 0

function init(arguments)
  for path in io.lines(arguments[1]) do
    paths[#paths + 1] = path
  end
end

function request()
  number = number % #paths + 1
  return wrk.format(nil, paths[number])
end
