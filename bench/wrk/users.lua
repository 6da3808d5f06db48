-- Makes users of whom nobody has been made before. The argument tells this run from others.

local run
local number = 0

function init(arguments)
  run = arguments[1]
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  number = number + 1
  local email = string.format("person.%d.of.%s@example.com", number, run)
  return wrk.format(nil, nil, nil, string.format('{"email":"%s","name":"Person %d"}', email, number))
end
