-- A fault that ends Prosody: it reaches the memory limit of its control group.

local faults = require "spec.support.faults";
local programs = require "spec.support.programs";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local user = "user@example.com";

local function post_keyed(key, text)
	return world.http(world.request("/msg/user", text, { ["Idempotency-Key"] = key }));
end

-- A control group with a limit in bytes, of version 1 or 2. > its folder; or nil
local function limited_group(bytes)
	for _, group in ipairs {
		{ "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes };
		{ "/sys/fs/cgroup", "memory.max", "memory.swap.max", 0 };
	} do
		local folder = group[1] .. "/post_msg-" .. math.random(1000000000);
		local made = programs.output_of(("mkdir '%s' 2>&1 && echo %d 2>&1 >'%s/%s'"):format(folder, bytes, folder, group[2]));
		if made == "" then
			programs.output_of(("echo %d 2>&1 >'%s/%s'"):format(group[4], folder, group[3])); -- where there is swap
			return folder;
		end
		programs.output_of("rmdir '" .. folder .. "' 2>&1");
	end
end

describe("of memory", function ()
	local group = limited_group(32 * 1024 * 1024);

	lazy_teardown(function ()
		world.stop();
		if group then programs.output_of("rmdir '" .. group .. "'"); end
	end);

	-- A container may have no other group than its own. A fault that cannot be tested prints a line, and has no row in the table.
	if not group then
		pending("not covered: no control group can be made that limits memory");
		return;
	end

	faults.show("memory limit reached", "the kernel kills Prosody; restarted, it sends nothing twice", function ()
		world.start();
		world.login(user);
		for index = 1, 20 do assert.equal(201, post_keyed("key-" .. index, "text " .. index).status); end
		assert.equal(20, #world.collect()[user]);
		local pid = world.lua("return require 'util.pposix'.getpid()");
		assert.equal("", programs.output_of(("echo %d 2>&1 >'%s/cgroup.procs'"):format(pid, group)));
		local large = "[" .. ("{\"to\":\"user\",\"body\":\"" .. ("x"):rep(900) .. "\"},"):rep(9000) .. "{}]"; -- nothing is sent: {} has no text
		local statuses = {};
		for _ = 1, 10 do
			local ok, sent = pcall(wire.send, world.request("/msg", large, { ["Content-Type"] = "application/json" }));
			local answer = ok and sent:answer();
			table.insert(statuses, answer and tostring(answer.status) or "ended");
			if not answer then break; end
		end
		local record = table.concat(statuses, " ");
		assert.equal("ended", statuses[#statuses]);
		local answer_text = programs.output_of(("cat '%s/memory.oom_control' '%s/memory.events' 2>/dev/null"):format(group, group));
		assert.equal("1", answer_text:match("\noom_kill (%d+)"), answer_text);
		world.restart();
		world.login(user);
		for index = 1, 20 do assert.equal(201, post_keyed("key-" .. index, "text " .. index).status); end
		assert.same({}, world.collect()[user]);
		assert.equal(201, post_keyed("after", "after").status);
		assert.equal(1, #world.collect()[user]);
		return record .. "; 20 keyed requests repeated, 0 sent again";
	end);
end);
