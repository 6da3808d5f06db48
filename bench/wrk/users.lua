-- Makes users of whom nobody has been made before. The first argument tells this run from others; the
-- second one, if there is one, is a file of paths, of which each is the next user's.

local run
local paths = {}
local number = 0

function init(arguments)
  run = arguments[1]
  if arguments[2] then
    for path in io.lines(arguments[2]) do
      paths[#paths + 1] = path
    end
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  number = number + 1
  -- The URL's own, if there is none.
  local path = #paths > 0 and paths[number % #paths + 1] or nil
  local email = string.format("person.%d.of.%s@example.com", number, run)
  return wrk.format(nil, path, nil, string.format('{"email":"%s","name":"Person %d"}', email, number))
end
