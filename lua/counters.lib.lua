-- What the parts of this module hold for requests on this host: counters, flags and tables. All are empty once all requests are
-- answered; the specs check it when they end (spec/support/world.lua).

local counts = module:shared("state"); -- name → function that returns how many there are

local function register(name, count)
	counts[name] = count;
end

return { register = register };
