-- The metrics that Prosody's http_openmetrics shows; the alert rules and the dashboard of docs/monitoring, with a real
-- Prometheus of Debian's package.

local json = require "dkjson";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local programs = require "spec.support.programs";
local read = require "pl.file".read;

local output_of = programs.output_of;
local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local monitoring = output_of("realpath '" .. here .. "/docs/monitoring'"):match("[^\n]+");

local function write(path, text)
	local file = assert(io.open(path, "wb"));
	file:write(text);
	file:close();
end

local prefix = "prosody_mod_post_msg__";

local function scrape() --> text
	local answer = world.http("GET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n");
	assert.equal(200, answer.status, answer.body);
	return answer.body;
end

-- The value of a series of example.com, without the prefix of its name: `requests_total{status="201"}`.
local function value_of(series, text)
	local name, labels = series:match("^([%w_]+)(.*)$");
	local label_suffix = labels ~= "" and "," .. labels:sub(2, -2) or "";
	local line = ("\n%s%s{host=\"example.com\"%s} "):format(prefix, name, label_suffix);
	text = "\n" .. (text or scrape());
	local _, last = text:find(line, 1, true);
	return last and tonumber(text:match("^[^\n]+", last + 1)) or nil;
end

-- The growth of each series during a call.
local function assert_counts(expected, run)
	local baseline = scrape();
	run();
	local after = scrape();
	for series, by in pairs(expected) do
		local first, last = value_of(series, baseline) or 0, value_of(series, after);
		assert.is_truthy(last, "there is no " .. series .. " in\n" .. after);
		assert.equal(by, last - first, series);
	end
end

local function post(path, body, headers)
	return world.http(world.request(path, body, headers));
end

local in_json = { ["Content-Type"] = "application/json" };

local function start()
	local options = world.defaults();
	options.hosts["example.com"].modules = { "post_msg", "http_openmetrics" };
	options.components = options.components .. '\nComponent "rooms.example.com" "muc"';
	options.extra = 'statistics = "internal"\nstatistics_interval = "manual"\n';
	world.start(options);
	world.login("me@example.com", "user@example.com");
end

local function make_room()
	world.send("user@example.com", "<presence to='team@rooms.example.com/user'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
	wire.await("the room", function ()
		return world.receive_presence("user@example.com"):find("from='team@rooms.example.com/user'", 1, true) ~= nil;
	end);
	world.send("user@example.com", "<iq type='set' id='open' to='team@rooms.example.com'><query xmlns='http://jabber.org/protocol/muc#owner'>"
		.. "<x xmlns='jabber:x:data' type='submit'/></query></iq>");
end

describe("the metrics", function ()
	lazy_setup(function () start(); make_room(); end);
	lazy_teardown(world.stop);

	it("exist from the beginning, as 0", function ()
		local text = scrape();
		for _, series in ipairs {
			'requests_total{status="500"}', 'requests_total{status="201"}', 'messages_total{outcome="failed",recipient="remote"}',
			'credentials_total{result="throttled"}', "rooms_joined", "tokens", "keys", "requests_waiting", "derivations_waiting",
			"answer_seconds_count", "derivation_seconds_count",
		} do
			assert.equal(0, value_of(series, text), series);
		end
	end);

	it("are the ones of the table in docs/monitoring.md", function ()
		local rows, shown = {}, {};
		for name, kind, says in read(here .. "/docs/monitoring.md"):gmatch("\n| `([%w_]+)` | (%l+) | ([^\n]+) |") do
			rows[name] = kind .. ": " .. says;
		end
		local text = scrape();
		for name, says in text:gmatch("# HELP " .. prefix .. "(%S+) ([^\n]+)") do
			shown[name] = text:match("# TYPE " .. prefix .. name .. " (%l+)") .. ": " .. says;
		end
		assert.same(shown, rows);
	end);

	it("count requests by status, and messages by outcome and kind of recipient", function ()
		local function messages(outcome, recipient)
			return ('messages_total{outcome="%s",recipient="%s"}'):format(outcome, recipient);
		end
		assert_counts({
			['requests_total{status="201"}'] = 3, ['requests_total{status="202"}'] = 1, ['requests_total{status="404"}'] = 1,
			['requests_total{status="207"}'] = 1, ['requests_total{status="422"}'] = 1, ['requests_total{status="405"}'] = 1,
			['requests_total{status="200"}'] = 1, ['requests_total{status="401"}'] = 0,
			[messages("sent", "account")] = 2, [messages("failed", "account")] = 2, [messages("unconfirmed", "account")] = 1,
			[messages("sent", "room")] = 1, [messages("sent", "service")] = 1, [messages("failed", "remote")] = 1,
			answer_seconds_count = 9, ['answer_seconds_bucket{le="+Inf"}'] = 9,
		}, function ()
			local batch = '[{"to":"nobody","body":"x"},{"to":"user@elsewhere.example","body":"x"},{"to":"user","body":"x"}]';
			assert.equal(201, post("/msg/user", "hello").status);
			assert.equal(201, post("/msg/team@rooms.example.com", "hello").status);
			assert.equal(201, post("/msg/echo.example.com", "hello").status);
			assert.equal(202, post("/msg/user", "hello", { ["Prefer"] = "wait=1" }).status);
			assert.equal(404, post("/msg/nobody", "hello").status);
			assert.equal(207, post("/msg", batch, in_json).status);
			assert.equal(422, post("/msg/user", "{}", in_json).status);
			assert.equal(405, world.http("PATCH /msg HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n").status);
			assert.equal(200, world.http("OPTIONS /msg HTTP/1.1\r\nHost: example.com\r\n\r\n").status);
		end);
	end);

	it("count credentials by result", function ()
		assert_counts({
			['credentials_total{result="accepted"}'] = 1, ['credentials_total{result="missing"}'] = 1,
			['credentials_total{result="wrong"}'] = 1, ['credentials_total{result="ambiguous"}'] = 1,
			derivation_seconds_count = 1,
		}, function ()
			local token = "pmsg_0123456789abcdef_" .. ("x"):rep(22);
			assert.equal(201, post("/msg/user", "hello").status);
			assert.equal(401, post("/msg/user", "hello", { ["Authorization"] = false }).status);
			assert.equal(401, post("/msg/user", "hello", { ["Authorization"] = "Basic bWU6d3Jvbmc=" }).status);
			assert.equal(400, post("/msg/user?token=" .. token, "hello").status);
		end);
	end);

	it("count the renderings of each template", function ()
		local function of(template, result)
			return ('templates_total{template="%s",result="%s"}'):format(template, result);
		end
		assert_counts({ [of("slack", "rendered")] = 2, [of("slack", "failed")] = 0, [of("grafana", "failed")] = 1 }, function ()
			local large = '{"text":"' .. ("x"):rep(20000) .. '"}';
			assert.equal(200, post("/msg/user?as=slack", '{"text":"hello"}', in_json).status);
			assert.equal(200, post("/msg/user?as=slack", large, in_json).status);
			assert.equal(422, post("/msg/user?as=grafana", '{"text":"hello"}', in_json).status);
			assert.equal(422, post("/msg/user?as=what-a-client-writes", "{}", in_json).status);
		end);
		assert.is_nil(scrape():find("what-a-client-writes", 1, true));
	end);

	it("show waiting requests and stored keys", function ()
		local waits = wire.send(world.request("/msg/user", "are you there?", { ["Prefer"] = "wait=30", ["Idempotency-Key"] = "m-1" }));
		wire.await("a request that waits", function () return value_of("requests_waiting") == 1; end);
		local id;
		repeat id = world.receive("user@example.com"):match("id='([^']+)'[^\n]-<body>are you there"); until id;
		world.send("user@example.com", "<message to='me@example.com' id='r'><received xmlns='urn:xmpp:receipts' id='" .. id .. "'/></message>");
		assert.equal(200, waits:answer().status);
		assert.equal(0, value_of("requests_waiting"));
		assert.equal(1, value_of('messages_total{outcome="delivered",recipient="account"}'));
		assert.equal(1, value_of("keys"));
		assert.equal(1, value_of("rooms_joined"));
	end);

	it("have no address and no client's text in a label", function ()
		for line in scrape():gmatch("[^\n]+") do
			if line:find(prefix, 1, true) == 1 then
				for name, value in line:gmatch('(%w+)="([^"]*)"') do
					assert.is_truthy(name == "host" or value:find("^[%l%d.+Inf-]+$"), line);
				end
			end
		end
	end);

	it("continue after a reload; after an unload, gauges are 0", function ()
		local baseline = value_of('requests_total{status="201"}');
		assert.is_true(world.module("reload"));
		assert.equal(201, post("/msg/user", "hello").status);
		assert.equal(baseline + 1, value_of('requests_total{status="201"}'));
		world.module("unload");
		assert.equal(0, value_of("keys"));
		assert.equal(0, value_of("rooms_joined"));
		assert.is_true(world.module("load"));
	end);
end);

describe("without statistics", function ()
	lazy_teardown(world.stop);

	it("requests are answered as usual", function ()
		world.start();
		assert.equal(201, post("/msg/user", "hello").status);
		assert.same({}, world.errors());
	end);
end);

local prometheus, promtool = programs.find("prometheus"), programs.find("promtool");
if not prometheus or not promtool then return; end

describe("promtool", function ()
	local function run(arguments) --> output, with the exit status at its end
		return output_of(("cd '%s' && '%s' %s 2>&1; echo \"status $?\""):format(monitoring, promtool, arguments));
	end

	it("accepts the alert rules, and their tests pass", function ()
		assert.matches("SUCCESS: %d+ rules found\n.*status 0\n$", run("check rules alerts.yml"));
		assert.matches("SUCCESS\n.*status 0\n$", run("test rules alerts_test.yml"));
	end);

	it("accepts the metrics", function ()
		start();
		assert.equal(201, post("/msg/user", "hello").status);
		assert.equal(200, post("/msg/user?as=slack", '{"text":"hello"}', in_json).status);
		-- promtool reads the older format of Prometheus: the name of a counter has its suffix, and there is no _created.
		local lines = {};
		local text = scrape();
		for line in text:gmatch("[^\n]+") do
			local keyword, name, rest = line:match("^# (%u+) (" .. prefix .. "%S+)(.*)$");
			if keyword and (keyword == "HELP" or keyword == "TYPE") then
				local suffix = text:find("# TYPE " .. name .. " counter", 1, true) and "_total" or "";
				lines[#lines + 1] = ("# %s %s%s%s"):format(keyword, name, suffix, rest);
			elseif line:find(prefix, 1, true) == 1 and not line:find("^[%w_]+_created[{ ]") then
				lines[#lines + 1] = line;
			end
		end
		write(world.server.dir .. "/metrics", table.concat(lines, "\n") .. "\n");
		assert.is_true(#lines > 50);
		assert.equal("status 0\n", run("check metrics < '" .. world.server.dir .. "/metrics'"));
		world.stop();
	end);
end);

describe("a real Prometheus", function ()
	local folder, port;

	local function ask(path) --> decoded JSON
		return json.decode(output_of(("curl -s 'http://127.0.0.1:%d%s'"):format(port, path)));
	end

	local function query(expression) --> list of results
		local escaped = expression:gsub("[^%w_.-]", function (c) return ("%%%02X"):format(c:byte()); end);
		local answer = ask("/api/v1/query?query=" .. escaped);
		assert.equal("success", answer and answer.status, expression);
		return answer.data.result;
	end

	lazy_setup(function ()
		start();
		make_room();
		folder = world.server.dir .. "/prometheus";
		os.execute("mkdir '" .. folder .. "'");
		port = wire.free_port();
		write(folder .. "/prometheus.yml", ([[
global:
  scrape_interval: 500ms
rule_files: [ "%s/alerts.yml" ]
scrape_configs:
  - job_name: prosody
    static_configs:
      - targets: [ "127.0.0.1:%d" ]
]]):format(monitoring, world.server.http_port));
		os.execute(("cd '%s' && { '%s' --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:%d "
			.. ">log 2>&1 & echo $! >pid; }"):format(folder, prometheus, port));
		wire.await("Prometheus to scrape", function ()
			local answer = ask("/api/v1/targets");
			local target = answer and answer.data.activeTargets[1];
			return target and target.health == "up";
		end);
	end);

	lazy_teardown(function ()
		if folder then programs.stop(folder .. "/pid"); end
		world.stop();
	end);

	it("has data for every panel of the dashboard, which shows every metric", function ()
		local dashboard = assert(json.decode(read(monitoring .. "/dashboard.json")));
		local expressions = {};
		for _, panel in ipairs(dashboard.panels) do
			assert.is_truthy(panel.targets[1], panel.title);
			for _, target in ipairs(panel.targets) do
				local expression = target.expr:gsub("%$__rate_interval", "1m"):gsub("%$host", ".*");
				assert.is_nil(expression:find("$", 1, true), expression);
				expressions[expression] = panel.title;
			end
		end
		local all = json.encode(dashboard);
		for name in scrape():gmatch("# HELP (" .. prefix .. "%S+)") do
			assert.is_truthy(all:find(name, 1, true), "no panel shows " .. name);
		end
		local function traffic()
			post("/msg/user", "hello");
			post("/msg/team@rooms.example.com", "hello");
			post("/msg/nobody", "hello", { ["Idempotency-Key"] = tostring(math.random()) });
			post("/msg/user", "hello", { ["Authorization"] = "Basic bWU6d3Jvbmc=" });
			post("/msg/user?as=slack", '{"text":"hello"}', in_json);
		end
		-- The quantile of an empty histogram is NaN.
		wire.await("data for every panel", function ()
			traffic();
			for expression, title in pairs(expressions) do
				local result = query(expression);
				if not result[1] or result[1].value[2] == "NaN" then return nil, title; end
			end
			return true;
		end);
		for _, panel in ipairs { "sum(" .. prefix .. "rooms_joined)", "sum(" .. prefix .. "keys)" } do
			assert.equal("1", tostring(math.min(1, tonumber(query(panel)[1].value[2]))), panel);
		end
	end);

	it("has loaded the alert rules, and none fires without cause", function ()
		local answer = ask("/api/v1/rules");
		assert.equal(6, #answer.data.groups[1].rules);
		for _, alert in ipairs(ask("/api/v1/alerts").data.alerts) do
			assert.equal("pending", alert.state, json.encode(alert));
		end
	end);
end);
