-- Counts of the things that this module holds for requests on this host. Each is 0 once all requests are answered; the specs check this
-- when they end (spec/support/world.lua).

local counts = module:shared("state"); -- name → function that returns the number

local function register(name, count)
	counts[name] = count;
end

local function count_keys(items) --> number
	local count = 0;
	for _ in pairs(items) do count = count + 1; end
	return count;
end

return { register = register; count_keys = count_keys };
