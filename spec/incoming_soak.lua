-- Random conversations of HTTP clients for CONNECTIONS_SECONDS (600), several at a time: each request must get its own answer.

local connections = require "spec.support.connections";
local faults = require "spec.support.faults";
local world = require "spec.support.world";

local seconds = tonumber(os.getenv("CONNECTIONS_SECONDS") or 600);

teardown(world.stop);

describe("random connections", function ()
	for _, read_size in ipairs { 3, 8192 } do
		faults.show(("%g minutes of random connections, read %d bytes at a time"):format(seconds / 120, read_size), "each request gets its own answer",
			function ()
				connections.start(read_size);
				local seed, requests, number = os.time(), 0, 0;
				math.randomseed(seed);
				local deadline = seed + seconds / 2;
				while os.time() < deadline do
					number = number + 1;
					local conversation = connections.new(number);
					assert.is_nil(connections.run(conversation), ("seed %d, connection %d"):format(seed, number));
					requests = requests + #conversation.expected;
				end
				assert.same({}, world.errors());
				world.assert_nothing_held();
				return ("%d connections, %d requests"):format(number, requests);
			end);
	end
end);
