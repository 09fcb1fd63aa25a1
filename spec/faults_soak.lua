-- A fault that ends Prosody: it has no more memory. RLIMIT_AS stands in for the limit of a control group: what cannot be
-- allocated ends the process either way, here by an abort, there by a signal of the kernel.

local faults = require "spec.support.faults";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local user = "user@example.com";

local function post_keyed(key, text)
	return world.http(world.request("/msg/user", text, { ["Idempotency-Key"] = key }));
end

describe("of memory", function ()
	lazy_teardown(world.stop);

	faults.show("memory limit reached", "Prosody ends; restarted, it sends nothing twice", function ()
		world.start();
		world.login(user);
		for index = 1, 20 do assert.equal(201, post_keyed("key-" .. index, "text " .. index).status); end
		assert.equal(20, #world.collect()[user]);
		local pid = world.lua("return require 'util.pposix'.getpid()");
		local status = assert(io.open("/proc/" .. pid .. "/status"));
		local size = tonumber(status:read("*a"):match("VmSize:%s+(%d+)")) * 1024;
		status:close();
		assert.is_truthy(os.execute(("prlimit --pid %d --as=%d:"):format(pid, size + 32 * 1024 * 1024)));
		local large = "[" .. ("{\"to\":\"user\",\"body\":\"" .. ("x"):rep(900) .. "\"},"):rep(9000) .. "{}]"; -- sends nothing: {} has no text
		local statuses = {};
		for _ = 1, 10 do
			local ok, sent = pcall(wire.send, world.request("/msg", large, { ["Content-Type"] = "application/json" }));
			local answer = ok and sent:answer();
			table.insert(statuses, answer and tostring(answer.status) or "ended");
			if not answer then break; end
		end
		local seen = table.concat(statuses, " ");
		assert.equal("ended", statuses[#statuses]);
		world.restart();
		world.login(user);
		for index = 1, 20 do assert.equal(201, post_keyed("key-" .. index, "text " .. index).status); end
		assert.same({}, world.collect()[user]);
		assert.equal(201, post_keyed("after", "after").status);
		assert.equal(1, #world.collect()[user]);
		return seen .. "; 20 keyed requests repeated, 0 sent again";
	end);
end);
