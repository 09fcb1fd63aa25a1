-- What the parts of this module hold for requests on this host: counters, flags and tables. All are empty once all requests are
-- answered; the specs check it when they end (spec/support/world.lua).

local counts = module:shared("state"); -- name → function that gives how many there are

return function (name, count)
	counts[name] = count;
end
