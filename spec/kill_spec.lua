-- What kill -9 amid a stream of requests leaves: every message, and whole stores. kill_soak.lua does it longer.

local kill = require "spec.support.kill";
local world = require "spec.support.world";

describe("killed amid a stream of requests", function ()
	teardown(world.stop);

	it("Prosody has sent once what was answered, at most twice what was under way, and has whole stores", function ()
		kill.seed();
		local figures = kill.times(6);
		assert.is_true(figures.requests > 6 and figures.cuts > 0);
	end);
end);
