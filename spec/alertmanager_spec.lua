-- A real Alertmanager, from Debian's package, posts to a room and to a person: firing, resolved and grouped alerts, and alerts that could
-- not be posted while Prosody was killed.

local json = require "dkjson";
local pages = require "spec.support.pages";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local programs = require "spec.support.programs";

local program, amtool = programs.find("prometheus-alertmanager"), programs.find("amtool");
if not program then return; end

local output_of = programs.output_of;

-- The receiver of docs/programs.md, which posts to the room, and a similar one, which posts to the person.
local receiver = pages.find("docs/programs.md", "```yaml\n(receivers:\n.-)```");
local route = [[
route:
  receiver: team
  group_by: [alertname]
  group_wait: 200ms
  group_interval: 1s
  repeat_interval: 1h
]];

local function config(token)
	local to_room, count = receiver:gsub("https://example%.com:5281/", ("http://127.0.0.1:%d/"):format(world.server.http_port));
	to_room = to_room:gsub("pmsg_%x+_…", (token:gsub("%%", "%%%%")));
	local to_person = to_room:match("\n(  %- url: .*)$"):gsub("/msg/[^?]+", "/msg/user");
	assert(count == 1 and to_room ~= receiver);
	return route .. to_room .. to_person;
end

local folder, port;

local function write(name, text)
	local file = assert(io.open(folder .. "/" .. name, "wb"));
	file:write(text);
	file:close();
end

local function url(path) return ("http://127.0.0.1:%d%s"):format(port, path); end

local function ask(path) return output_of("curl -sf '" .. url(path) .. "'"); end

local function start_alertmanager(token)
	port = wire.free_port();
	write("alertmanager.yml", config(token));
	os.execute(("cd '%s' && { %s --config.file=alertmanager.yml --storage.path=data --web.listen-address=127.0.0.1:%d "
		.. "--cluster.listen-address= >log 2>&1 & echo $! >pid; }"):format(folder, program, port));
	wire.await("Alertmanager to be ready", function () return ask("/-/ready") ~= ""; end);
end

-- Labels and summary of each alert, and its end, if it has one.
local function fire(alerts, ends_at)
	local posted = {};
	for _, alert in ipairs(alerts) do
		table.insert(posted, {
			labels = { alertname = alert[1], instance = alert[2], severity = "warning" };
			annotations = { summary = alert[3] };
			generatorURL = "http://prometheus.example.com/graph?g0.expr=up";
			startsAt = alert.starts; endsAt = ends_at;
		});
	end
	write("alerts.json", json.encode(posted));
	assert.equal("200", output_of(("curl -s -o /dev/null -w '%%{http_code}' -H 'Content-Type: application/json' --data-binary @%s/alerts.json %s")
		:format(folder, url("/api/v2/alerts"))));
end

local function now(offset) return os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + (offset or 0)); end

-- The number of failed notifications so far, including their requests.
local function failures()
	local count = 0;
	local failed = 'alertmanager_notification_requests_failed_total{integration="webhook"} (%d+)';
	for value in ask("/metrics"):gmatch(failed) do count = count + tonumber(value); end
	return count;
end

-- The next message with a body, and whether it is the room's.
local function next_message()
	while true do
		local raw = world.receive("user@example.com", 20);
		local body = raw:match("<body>(.*)</body>");
		if body then
			return (body:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&apos;", "'"):gsub("&amp;", "&")),
				raw:find("type='groupchat'", 1, true) ~= nil, raw;
		end
	end
end

-- Receives the same message from the room and at the person, in any order. > the text, a stanza
local function receive_both()
	local first, is_room, raw = next_message();
	local second, is_other_room = next_message();
	assert.is_true(is_room ~= is_other_room);
	assert.equal(first, second);
	return first, raw;
end

local function nothing_more()
	local messages, trouble = world.collect();
	assert.same({}, trouble);
	assert.same({}, messages["user@example.com"]);
end

local function enter_room()
	world.login("user@example.com");
	world.send("user@example.com", "<presence to='team@rooms.example.com/user'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
	wire.await("the room", function ()
		return world.receive_presence("user@example.com"):find("from='team@rooms.example.com/user'", 1, true) ~= nil;
	end);
end

describe("Alertmanager", function ()
	setup(function ()
		folder = output_of("mktemp -d"):match("[^\n]+");
		world.start({
			components = 'Component "rooms.example.com" "muc"\n\tmuc_room_default_persistent = true muc_room_locking = false';
			extra = 'http_default_host = "example.com"';
		});
		enter_room();
		world.collect();
		local token = world.prosodyctl({ "mod_post_msg", "token", "add", "me@example.com", "--as", "alertmanager" }):match("([^\n]*)\n$");
		start_alertmanager(token);
	end);

	teardown(function ()
		if folder then programs.stop(folder .. "/pid"); os.execute("rm -rf '" .. folder .. "'"); end
		world.stop();
	end);

	local thread;

	it("sends a firing alert to a room and to a person", function ()
		fire { { "DiskFull", "db1.example.com:9100", "/srv is nearly full" } };
		local text, raw = receive_both();
		assert.is_truthy(text:find("FIRING", 1, true) and text:find("DiskFull", 1, true), text);
		assert.is_truthy(text:find("db1.example.com:9100", 1, true), text);
		assert.is_truthy(text:find("/srv is nearly full", 1, true), text);
		assert.is_truthy(text:find("http://prometheus.example.com/graph?g0.expr=up", 1, true), text);
		thread = raw:match("<thread>(.-)</thread>");
		assert.is_truthy(thread and thread:find("DiskFull", 1, true), raw);
	end);

	it("sends an alert that amtool adds", function ()
		assert.equal("", output_of(("%s --alertmanager.url=%s alert add Watchdog instance=db9.example.com --annotation='summary=\"By hand\"' 2>&1")
			:format(amtool, url(""))));
		local text = receive_both();
		assert.is_truthy(text:find("FIRING", 1, true) and text:find("Watchdog", 1, true) and text:find("By hand", 1, true), text);
		nothing_more();
	end);

	it("sends the resolved alert in the same thread", function ()
		fire({ { "DiskFull", "db1.example.com:9100", "/srv is nearly full" } }, now(-1));
		local text, raw = receive_both();
		assert.is_truthy(text:find("RESOLVED", 1, true) and text:find("DiskFull", 1, true), text);
		assert.is_nil(text:find("FIRING", 1, true));
		assert.equal(thread, raw:match("<thread>(.-)</thread>"));
		nothing_more();
	end);

	it("sends fifty alerts in one message", function ()
		local alerts = {};
		for number = 1, 50 do alerts[number] = { "HostDown", ("web%d.example.com"):format(number), "does not answer" }; end
		fire(alerts);
		local text = receive_both();
		assert.is_truthy(text:find("HostDown", 1, true) and text:find("50", 1, true), text);
		local _, lines = text:gsub("\n", "");
		assert.is_true(#text < 4000 and lines < 60, text);
		nothing_more();
	end);

	it("loses no alert and repeats none while Prosody is killed and restarted", function ()
		local failed = failures();
		world.kill();
		fire { { "BackupFailed", "db2.example.com", "the backup of tonight failed" } };
		wire.await("Alertmanager to fail", function () return failures() > failed + 1; end);
		world.restart();
		enter_room();
		-- Messages from the time before the client reconnected are in the room's history and in the offline messages.
		local text = receive_both();
		assert.is_truthy(text:find("BackupFailed", 1, true), text);
		-- Alertmanager has sent everything: the next message is a new alert of the group.
		fire { { "BackupFailed", "db3.example.com", "the backup of tonight failed" } };
		text = receive_both();
		assert.is_truthy(text:find("db3.example.com", 1, true), text);
		nothing_more();
	end);
end);
