-- Loading, reloading and unloading the installed module, and loading it with a damaged native half.

local wire = require "spec.support.wire";
local world = require "spec.support.world";

local user = "user@example.com";
local hello = world.request("/msg/user", "hello");

local function start(lines)
	local hosts = world.defaults().hosts;
	world.start({ hosts = { ["example.com"] = { accounts = hosts["example.com"].accounts, lines = lines or "" } } });
end

-- Asserts that the module is loaded and delivers.
local function assert_delivers()
	local answer = world.http(hello);
	assert.equal(201, answer.status, answer.body);
	assert.matches("<body>hello</body>", world.receive(user), nil, true);
end

-- Asserts that the requests with the answer 201 were delivered, each once, and no others.
local function assert_nothing_lost(answers, allowed)
	local delivered, count = {}, 0;
	for _, raw in ipairs(world.collect()[user]) do
		local number = tonumber(raw:match("<body>number (%d+)</body>"));
		assert.is_nil(delivered[number], "delivered twice: " .. raw);
		delivered[number] = true;
	end
	for status, numbers in pairs(answers) do
		assert.is_true(status == "201" or allowed[status] == true, ("%d requests were answered %s"):format(#numbers, status));
		for _, number in ipairs(numbers) do
			assert.equal(status == "201", delivered[number] == true, ("number %d, answered %s, delivered"):format(number, status));
			if delivered[number] then count = count + 1; end
			delivered[number] = nil;
		end
	end
	assert.is_nil(next(delivered), "delivered, and never answered");
	assert.is_true(count > 0, "no request was answered 201");
end

-- The number of handlers for events of the HTTP server and of the host.
local function count_handlers()
	return world.lua([[
		local server = require "net.http.server"._events;
		local count = 0;
		for _, events in ipairs { server, prosody.hosts["example.com"].events, prosody.events } do
			for _, handlers in pairs(events._event_map) do
				for _ in pairs(handlers) do count = count + 1; end
			end
			local i, name, value = 0;
			repeat
				i = i + 1;
				name, value = debug.getupvalue(events.add_wrapper, i);
				if name == "global_wrappers" and value then count = count + #value; end
			until not name;
		end
		return count;
	]]);
end

-- A sentence of the module's answer to an unknown media type. The file of the native half contains it.
local function sentence_in(library)
	local answer = world.http(world.request("/msg/user", "hello", { ["Content-Type"] = "texts/html" })).body;
	local longest = "";
	for first = 1, #answer do
		local part = answer:sub(first, first + #longest);
		while #part > #longest and library:find(part, 1, true) do
			longest = part;
			part = answer:sub(first, first + #longest);
		end
	end
	if #longest > 8 then return longest; end
	error("no part of the answer is in post_msg.so: " .. answer);
end

local function replace(text, old, new)
	local first, last = text:find(old, 1, true);
	assert(first, old .. " is not in post_msg.so");
	return text:sub(1, first - 1) .. new .. text:sub(last + 1);
end

teardown(world.stop);

describe("the module", function ()
	lazy_setup(function ()
		start();
		world.login(user);
	end);

	it("can be reloaded while messages flow, and loses none", function ()
		world.flow(world.request("/msg/user", "number 00000000"));
		for _ = 1, 10 do
			world.flow_on(5);
			assert(world.module("reload"));
		end
		world.flow_on(5);
		assert_nothing_lost(world.flow_stop(), { ["503"] = true });
	end);

	it("can be unloaded and loaded while messages flow, and loses no accepted message", function ()
		world.flow(world.request("/msg/user", "number 00000000"));
		for _ = 1, 5 do
			world.flow_on(5);
			assert(world.module("unload"));
			world.flow_on(5);
			assert(world.module("load"));
		end
		world.flow_on(5);
		assert_nothing_lost(world.flow_stop(), { ["503"] = true, ["404"] = true });
	end);

	it("removes all its handlers when it is unloaded, and adds none when it is reloaded", function ()
		assert_delivers(); -- some handlers are added only when they are needed
		local loaded = count_handlers();
		assert(world.module("unload"));
		local unloaded = count_handlers();
		for _, method in ipairs { "POST", "GET", "OPTIONS" } do
			for _, path in ipairs { "/msg", "/msg/", "/msg/user" } do
				assert.equal(404, world.http(hello:gsub("^POST /msg/user", method .. " " .. path, 1)).status, method .. " " .. path);
			end
		end
		assert(world.module("load"));
		for _ = 1, 10 do assert(world.module("reload")); end
		assert_delivers();
		assert.equal(loaded, count_handlers());
		assert(world.module("unload"));
		assert.equal(unloaded, count_handlers());
		assert(world.module("load"));
	end);

	it("frees the threads and file descriptors of the old instance when it is reloaded", function ()
		local function held()
			world.lua("collectgarbage() collectgarbage()");
			local pipe = assert(io.popen(("cd /proc/$(cat '%s/prosody.pid') && ls fd task | wc -l"):format(world.server.dir)));
			local count = pipe:read("*n");
			pipe:close();
			return count;
		end
		assert(world.module("reload"));
		assert_delivers(); -- a thread is started only when it is needed
		local baseline = held();
		for _ = 1, 10 do
			assert(world.module("reload"));
			assert_delivers();
		end
		wire.await("as few as before", function () return held() <= baseline; end);
	end);

	it("can be garbage-collected once it is reloaded, even during a batch", function ()
		assert_delivers();
		local batch = wire.send(world.request("/msg", '[{"to": "user", "body": "one"}, {"to": "user", "body": "two"}]', {
			["Content-Type"] = "application/json"; ["Prefer"] = "wait=60";
		}));
		for _ = 1, 2 do world.receive("user@example.com"); end
		world.lua([[prosody.spec_unloaded = setmetatable({ prosody.hosts["example.com"].modules.post_msg }, { __mode = "v" })]]);
		assert(world.module("reload"));
		assert.equal(503, batch:answer().status);
		assert_delivers();
		wire.await("the end of the module that was", function ()
			return world.lua("collectgarbage() collectgarbage() return prosody.spec_unloaded[1] == nil");
		end);
	end);

	it("loads a new build of post_msg.so when it is reloaded", function ()
		local build = world.plugin_file("post_msg.so");
		local sentence = sentence_in(build);
		for _, mark in ipairs { "1", "2" } do
			world.plugin_file("post_msg.so", replace(build, sentence, mark .. sentence:sub(2)));
			assert(world.module("reload"));
			local answer = world.http(world.request("/msg/user", "hello", { ["Content-Type"] = "texts/html" }));
			assert.matches(mark .. sentence:sub(2), answer.body, nil, true);
			assert_delivers();
		end
		world.plugin_file("post_msg.so", build);
		assert(world.module("reload"));
		assert_delivers();
	end);

	it("gives the same answer for an unknown account and for a wrong password", function ()
		local function answer_to(address)
			local credentials = "Basic " .. require "mime".b64(address .. ":wrong");
			return world.http(world.request("/msg/user", "hello", { ["Authorization"] = credentials }));
		end
		local known, unknown = answer_to("me@example.com"), answer_to("nobody@example.com");
		for _, name in ipairs { "date", "x-request-id" } do
			known.headers[name], unknown.headers[name] = nil, nil;
		end
		assert.equal(401, known.status);
		assert.same(known, unknown);
	end);

	it("causes no error in Prosody's log", function ()
		assert.same({}, world.errors());
	end);
end);

describe("with post_msg.so", function ()
	local build;

	lazy_setup(function ()
		start();
		build = world.plugin_file("post_msg.so");
	end);

	-- Symbols that only Lua 5.1 has, and symbols that it lacks.
	local function for_another_lua()
		if build:find("\0lua_rawlen\0", 1, true) then
			return replace(build, "\0lua_rawlen\0", "\0lua_objlen\0");
		end
		return replace(build, "\0lua_objlen\0", "\0lua_rawlen\0");
	end

	local damages = {
		["missing"] = function () os.remove(world.server.plugins .. "/mod_post_msg/post_msg.so"); end;
		["empty"] = function () world.plugin_file("post_msg.so", ""); end;
		["truncated"] = function () world.plugin_file("post_msg.so", build:sub(1, math.floor(#build / 2))); end;
		["without what this Lua has"] = function () world.plugin_file("post_msg.so", for_another_lua()); end;
		["built for another Lua"] = function () world.plugin_file("post_msg.so", (build:gsub("for Lua 5%.%d,", "for Lua 9.9,"))); end;
		["of another version"] = function () world.plugin_file("post_msg.so", (build:gsub("mod_post_msg %S+ for", "mod_post_msg 9.9.9 for"))); end;
	};
	for name, damage in pairs(damages) do
		it(name .. ", Prosody starts, says so in one line, and does the rest of its work", function ()
			damage();
			local mark = world.log_mark();
			world.restart();
			local errors = world.errors(mark);
			assert.equal(1, #errors, table.concat(errors, "\n"));
			assert.matches("post_msg.so", errors[1], nil, true);
			assert.equal(404, world.http(hello).status);
			world.login(user, "other@example.com");
			world.send("other@example.com", "<message to='user@example.com' type='chat'><body>still here</body></message>");
			assert.matches("still here", world.receive(user), nil, true);

			world.plugin_file("post_msg.so", build);
			assert(world.module("load"));
			assert_delivers();
		end);
	end
end);

describe("a setting of the wrong kind", function ()
	it("stops the module from loading with one line that names it", function ()
		start("post_msg_size_limit = 'many'");
		local errors = world.errors();
		assert.equal(1, #errors, table.concat(errors, "\n"));
		assert.matches("post_msg_size_limit", errors[1], nil, true);
		assert.equal(404, world.http(hello).status);
	end);
end);

describe("a panic of the native half", function ()
	lazy_setup(function ()
		local hosts = world.defaults().hosts;
		world.start({
			plugin_dir = assert(os.getenv "PANIC_DIR", "PANIC_DIR is the folder of a build with the feature deliberate-panic");
			hosts = { ["example.com"] = { accounts = hosts["example.com"].accounts, lines = "" } };
		});
		world.login(user);
	end);

	it("is one 500 and one line in the log, and the next request succeeds", function ()
		local mark = world.log_mark();
		local answer = world.http(world.request("/msg/user", "x", { ["Content-Type"] = "application/x-panic" }));
		assert.equal(500, answer.status);
		assert.matches("^[^\n]+\n$", answer.body);
		local errors = world.errors(mark);
		assert.equal(1, #errors, table.concat(errors, "\n"));
		assert.matches("on purpose", errors[1], nil, true);
		assert_delivers();
	end);
end);
