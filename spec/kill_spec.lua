-- kill -9 during a stream of requests loses no message, and leaves intact stores. kill_soak.lua takes longer.

local kill = require "spec.support.kill";
local world = require "spec.support.world";

describe("killed during a stream of requests", function ()
	teardown(world.stop);

	it("Prosody has sent each answered message once and each unanswered message at most twice, and its stores are intact", function ()
		kill.seed();
		local figures = kill.times(8);
		assert.is_true(figures.requests > 8 and figures.cuts > 0);
	end);

	it("Prosody has stored no key whose message was still in memory", function ()
		world.start();
		world.login("user@example.com");
		world.lua([[
			local store = require "core.storagemanager".open("example.com", "post_msg_keys");
			local class, seen = getmetatable(store).__index, { kept = 0, in_memory = 0 };
			local set = class.set;
			prosody.spec_seen = seen;
			function class:set(name, entry)
				if self.store == "post_msg_keys" and entry and name ~= "me" then -- under the account's name is its id, and no key
					seen.kept = seen.kept + 1;
					for _, session in pairs(prosody.full_sessions) do
						local buffer = session.conn.writebuffer;
						if buffer and #buffer > 0 then seen.in_memory = seen.in_memory + 1; end
					end
				end
				return set(self, name, entry);
			end
			return true;
		]]);
		for i = 1, 20 do
			assert.equal(201, world.http(world.request("/msg/user", "number " .. i, { ["Idempotency-Key"] = "number-" .. i })).status);
		end
		assert.same({ kept = 20, in_memory = 0 }, world.lua("return prosody.spec_seen"));
	end);
end);
