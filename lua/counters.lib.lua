-- What the parts of this module hold for requests on this host: counters, flags and tables. All are empty once all requests are
-- answered; the specs check it when they end (spec/support/world.lua).

local counts = module:shared("state"); -- name → function that returns how many there are

local function register(name, count)
	counts[name] = count;
end

local function count_keys(items) --> number
	local count = 0;
	for _ in pairs(items) do count = count + 1; end
	return count;
end

return { register = register; count_keys = count_keys };
