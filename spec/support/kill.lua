-- kill -9 of Prosody during a stream of requests, and a ledger of the messages that arrived: for kill_spec.lua and kill_soak.lua.

local assert = require "luassert";
local json = require "dkjson";
local socket = require "socket";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local kill = {};

local user = "user@example.com"; -- a recipient that stays offline
local domain, room, secret = "ledger.test", "room@rooms.example.com", "shared";
local connections = 4;

-- The texts of the messages of one request.
local parts = { batch = { "-a", "-b", "-c" } };

local function content_of(number) return ("content of %08d\n"):format(number):rep(500); end

local function request(path, media_type, body, kind, authorization)
	return world.request(path, body, {
		["Content-Type"] = media_type; ["Idempotency-Key"] = kind .. "-00000000"; ["Authorization"] = authorization;
	});
end

local function requests(token)
	local all = "/msg/xmpp:all@" .. domain;
	local batch = {};
	for _, part in ipairs(parts.batch) do batch[#batch + 1] = { to = "all@" .. domain, body = "batch-00000000" .. part }; end
	local form = "--B\r\nContent-Disposition: form-data; name=\"body\"\r\n\r\nupload-00000000\r\n"
		.. "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"00000000.bin\"\r\nContent-Type: application/x-thing\r\n\r\n"
		.. content_of(0):gsub("%d+", "00000000") .. "\r\n--B--\r\n";
	return {
		text = request(all, "text/plain", "text-00000000", "text", token);
		offline = request("/msg/user", "text/plain", "offline-00000000", "offline");
		batch = request("/msg", "application/json", json.encode(batch), "batch", token);
		room = request("/msg", "application/json", json.encode { to = room, type = "groupchat", body = "room-00000000" }, "room", token);
		upload = request(all, "multipart/form-data; boundary=B", form, "upload", token);
		webhook = request(all .. "?as=alertmanager", "application/json", json.encode {
			status = "firing"; groupKey = "key"; commonLabels = {}; groupLabels = {}; commonAnnotations = {};
			alerts = { { status = "firing", labels = { alertname = "webhook-00000000" } } };
		}, "webhook", token);
	};
end

-- Loads every entry of every store, and every file, with Prosody's own functions. > the damaged ones
local function torn()
	local found = world.lua([[
		local datamanager = require "util.datamanager";
		local lfs = require "lfs";
		local storagemanager = require "core.storagemanager";
		local torn = {};
		local function look(what, ok, result, err)
			if not ok or result == nil and err then torn[#torn + 1] = what..": "..tostring(not ok and result or err); end
		end
		for _, host in ipairs { "example.com", "upload.example.com" } do
			for _, name in ipairs { "accounts", "roster", "post_msg_keys", "post_msg_tokens", "post_msg_token_ids" } do
				local store = storagemanager.open(host, name);
				for entry in store:users() do look(host.." "..name.." "..entry, pcall(store.get, store, entry)); end
			end
		end
		local root = prosody.paths.data;
		for host in lfs.dir(root) do
			if host:sub(1, 1) ~= "." and lfs.attributes(root.."/"..host, "mode") == "directory" then
				for name in lfs.dir(root.."/"..host) do
					local folder = root.."/"..host.."/"..name;
					if name:sub(1, 1) ~= "." and lfs.attributes(folder, "mode") == "directory" then
						for file in lfs.dir(folder) do
							local stem, kind = file:match("^(.*)%.(%a+)$");
							local load = kind == "list" and datamanager.list_load or kind == "dat" and datamanager.load;
							if load then look(folder.."/"..file, pcall(load, datamanager.path_decode(stem), datamanager.path_decode(host), name)); end
						end
					end
				end
			end
		end
		return torn;
	]]);
	-- SQLite's own check of its file.
	local path = world.server.dir .. "/data/prosody.sqlite";
	local file = io.open(path, "rb");
	if file then
		file:close();
		local pipe = assert(io.popen((os.getenv("PYTHON") or "/usr/bin/python3")
			.. (" -c 'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(\"PRAGMA integrity_check\").fetchone())' '%s' 2>&1"):format(path)));
		local result = pipe:read("*a");
		pipe:close();
		if result ~= "ok\n" then found[#found + 1] = path .. ": " .. result; end
	end
	return found;
end

-- Counts how often each text arrived, by its beginning.
local function times_of(bodies)
	local times = {};
	for text, count in pairs(bodies) do
		local tag = assert(text:match("%a+%-%d%d%d%d%d%d%d%d%-?[abc]?"), text);
		times[tag] = (times[tag] or 0) + count;
	end
	return times;
end

-- > figures: { kills, requests, cuts, twice }
local function check(answer_text, offline)
	for status in pairs(answer_text.statuses) do assert.is_true(status == "200" or status == "201", "answered " .. status); end
	local times, figures = times_of(answer_text.bodies), { requests = 0, cuts = 0, twice = 0 };
	for tag, count in pairs(times_of(offline)) do
		assert.is_nil(times[tag]);
		times[tag] = count;
	end
	local wrong = {};
	for number, record in pairs(answer_text.records) do
		number = tonumber(number);
		assert.is_nil(record.other, "answered in two ways");
		figures.requests, figures.cuts = figures.requests + 1, figures.cuts + record.cuts;
		for _, part in ipairs(parts[record.kind] or { "" }) do
			local tag = ("%s-%08d%s"):format(record.kind, number, part);
			local count = times[tag] or 0;
			times[tag] = nil;
			-- Once, and at most one more time for each kill during its request.
			if count < 1 or count > 1 + record.cuts then
				wrong[#wrong + 1] = ("%s arrived %d times, %d times under way at a kill"):format(tag, count, record.cuts);
			end
			if count > 1 then figures.twice = figures.twice + 1; end
		end
	end
	assert.same({}, wrong);
	assert.same({}, times, "arrived, and nobody has sent it");
	return figures;
end

local function check_files(links)
	for text, link in pairs(links) do
		local path = link:match("^http://127%.0%.0%.1:%d+(/.*)$");
		local answer = world.http(("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):format(path));
		assert.equal(200, answer.status, link);
		assert.equal(content_of(tonumber(text:match("%d+"))), answer.body);
	end
end

-- Kills Prosody `count` times. `options` are for world.start. > { requests, cuts, twice }
function kill.times(count, options)
	local port = wire.free_port();
	options = options or {};
	options.hosts = { ["example.com"] = world.defaults().hosts["example.com"] };
	options.level = "info";
	options.extra = (options.extra or "") .. ("\ncomponent_ports = { %d }\ncomponent_interfaces = { '127.0.0.1' }\n"):format(port);
	options.components = ([[
Component %q
	component_secret = %q
Component "rooms.example.com" "muc"
	muc_room_locking = false
Component "upload.example.com" "http_file_share"
	http_host = "127.0.0.1"
	http_file_share_daily_quota = 1024 * 1024 * 1024
]]):format(domain, secret);
	world.start(options);
	local token = world.prosodyctl({ "mod_post_msg", "token", "add", "me@example.com" }):match("([^\n]*)\n$");
	world.stream {
		requests = requests("Bearer " .. token); port = port; domain = domain; secret = secret; room = room; connections = connections;
	};
	for _ = 1, count do
		world.stream_go();
		world.stream_on(math.random(1, 60));
		socket.sleep(math.random() * 0.01); -- at a random time
		world.kill();
		world.restart();
		assert.same({}, torn());
	end
	world.stream_go();
	world.stream_on(1);
	local answer_text = world.stream_stop();
	world.login(user);
	local offline = {};
	for _, raw in ipairs(world.collect()[user]) do
		local text = raw:match("<body>(.-)</body>");
		offline[text] = (offline[text] or 0) + 1;
	end
	local figures = check(answer_text, offline);
	check_files(answer_text.links);
	assert.same({}, world.errors());
	world.stop();
	return figures;
end

-- > the seed, which is printed
function kill.seed()
	local seed = tonumber(os.getenv("KILL_SEED")) or math.floor(socket.gettime() * 1000) % 2^31;
	print("KILL_SEED=" .. ("%d"):format(seed));
	math.randomseed(seed);
	return seed;
end

return kill;
