-- The log lines of requests, and the ids of requests in them.

local json = require "dkjson";
local world = require "spec.support.world";

local function post(path, body, headers)
	return world.http(world.request(path, body, headers));
end

-- The lines that the module has written since a mark, at a level. > { "Request …", … }
local function lines(mark, level)
	local found = {};
	for line in world.log(mark):gmatch("[^\n]+") do
		local text = line:match("\t" .. level .. "\t(Request .*)$");
		if text then found[#found + 1] = text; end
	end
	return found;
end

describe("a request's id", function ()
	lazy_setup(function ()
		world.start({ components = 'Component "rooms.example.com" "muc"\nComponent "echo.example.com" "spec_echo"' });
		world.login("user@example.com");
	end);

	lazy_teardown(world.stop);

	it("is the client's", function ()
		for _, id in ipairs { "cron-7", "550e8400-e29b-41d4-a716-446655440000", "a/b:c=d+e,f;g@h", ("x"):rep(200) } do
			assert.equal(id, post("/msg/user", "hello", { ["X-Request-Id"] = id }).headers["x-request-id"]);
		end
	end);

	it("is generated if the client sends none, or one that an answer cannot repeat", function ()
		local record = {};
		for _, id in ipairs { false, "two words", "<b>", 'quo"te', "ümlaut", "back\\slash", ("x"):rep(201), "" } do
			local made = post("/msg/user", "hello", { ["X-Request-Id"] = id }).headers["x-request-id"];
			assert.matches("^[%w_-]+$", made);
			assert.is_nil(record[made], "the same for two requests");
			record[made] = true;
		end
	end);

	it("is in every answer, and in problems in JSON", function ()
		local id = { ["X-Request-Id"] = "watch-1" };
		local function with(headers)
			for name, value in pairs(id) do headers[name] = value; end
			return headers;
		end
		local answers = {
			[201] = post("/msg/user", "hello", id);
			[401] = post("/msg/user", "hello", with { ["Authorization"] = false, ["Accept"] = "application/json" });
			[404] = post("/msg/nobody", "hello", with { ["Accept"] = "application/json" });
			[415] = post("/msg/user", "hello", with { ["Content-Type"] = "texts/html", ["Accept"] = "application/json" });
			[422] = post("/msg/user", "{}", with { ["Content-Type"] = "application/json" });
			[400] = post("/msg/user", "{", with { ["Content-Type"] = "application/json" });
			[405] = world.http("PATCH /msg/user HTTP/1.1\r\nHost: example.com\r\nX-Request-Id: watch-1\r\nAccept: application/json\r\n"
				.. "Content-Length: 0\r\n\r\n");
			[501] = world.http("POST /msg/user HTTP/1.1\r\nHost: example.com\r\nX-Request-Id: watch-1\r\nAccept: application/json\r\n"
				.. "Transfer-Encoding: gzip\r\n\r\n");
			[200] = world.http("OPTIONS /msg HTTP/1.1\r\nHost: example.com\r\nX-Request-Id: watch-1\r\n\r\n");
		};
		for status, answer in pairs(answers) do
			assert.equal(status, answer.status, answer.body);
			assert.equal("watch-1", answer.headers["x-request-id"], status);
			if status >= 400 then
				assert.equal("watch-1", json.decode(answer.body).request_id, answer.body);
			end
		end
		local two = '[{"to":"nobody@example.com","body":"x"},{"to":"no@example.com","body":"x"}]';
		local answer = post("/msg", two, with { ["Content-Type"] = "application/json", ["Accept"] = "application/json" });
		assert.equal("watch-1", json.decode(answer.body).request_id, answer.body);
		assert.is_nil(json.decode(answer.body).outcomes[1].error.request_id);
	end);

	it("is in a line at level info if the request was rejected or has failed", function ()
		local cases = {
			{ post, "/msg/nobody", "hello", {}, "^Request ID of me@example%.com: 404, nobody@example%.com: service%-unavailable" };
			{ post, "/msg/user", "\27", {}, "^Request ID of me@example%.com: 422, `body` contains U%+001B at character 0" };
			{ post, "/msg/user", "hello", { ["Authorization"] = false }, "^Request ID of 127%.0%.0%.1: 401, credentials are needed" };
			{ post, "/msg/user", "hello", { ["Authorization"] = "Basic bWU6d3Jvbmc=" },
				"^Request ID of 127%.0%.0%.1: 401, Failed authentication attempt %(not%-authorized%) for user me@example%.com from IP: 127%.0%.0%.1$" };
			{ post, "/msg", '[{"to":"user","body":"x"},{"to":"nobody","body":"x"},{"to":"no","body":"x"}]',
				{ ["Content-Type"] = "application/json" },
				"^Request ID of me@example%.com: 207, 2 of 3 messages failed, the first: nobody@example%.com: service%-unavailable" };
			{ post, "/msg/lobby@rooms.example.com", "hello", {}, "^Request ID of me@example%.com: 404, " };
		};
		for index, case in ipairs(cases) do
			local mark, id = world.log_mark(), "line" .. index;
			local headers = case[4];
			headers["X-Request-Id"] = id;
			case[1](case[2], case[3], headers);
			local found = lines(mark, "info");
			assert.equal(1, #found, table.concat(found, "\n"));
			assert.matches((case[5]:gsub("ID", id)), found[1]);
		end
	end);

	it("is in a line at level debug for each message, and success logs nothing at level info", function ()
		local mark = world.log_mark();
		local secret = "the text of a message, 4711";
		local answer = post("/msg/user", secret, { ["X-Request-Id"] = "ok-1", ["Accept"] = "application/json" });
		assert.equal(201, answer.status);
		post("/msg/user", "twice", { ["X-Request-Id"] = "ok-2", ["Idempotency-Key"] = "log-1" });
		assert.equal(201, post("/msg/user", "twice", { ["X-Request-Id"] = "ok-3", ["Idempotency-Key"] = "log-1" }).status);
		post("/msg?to=user", '{"text":"hi"}', { ["X-Request-Id"] = "ok-4", ["Content-Type"] = "application/json" });
		assert.equal(200, post("/msg/user?as=slack", '{"text":"hi"}', { ["X-Request-Id"] = "ok-5", ["Content-Type"] = "application/json" }).status);
		local log = world.log(mark);
		local answer_text = table.concat(lines(mark, "debug"), "\n");
		local id = json.decode(answer.body).id;
		assert.is_truthy(answer_text:find("Request ok-1: message " .. id .. " from me@example.com to user@example.com: sent\n", 1, true), answer_text);
		assert.matches("Request ok%-1: 201 in %d+%.%d ms", answer_text);
		assert.matches("Request ok%-3: 201 in ", answer_text);
		assert.is_nil(answer_text:find("ok-3: message", 1, true));
		assert.matches("Request ok%-5: message %S+ from me@example%.com to user@example%.com: sent\n", answer_text);
		for level in pairs { info = true, warn = true, error = true } do
			for _, line in ipairs(lines(mark, level)) do
				assert.is_truthy(line:find("ok-4", 1, true), line); -- there is no such payload
			end
		end
		assert.is_nil(log:find(secret, 1, true));
	end);

	it("of a repeated request is not logged with the old failure", function ()
		local headers = { ["Idempotency-Key"] = "log-2", ["X-Request-Id"] = "again-1" };
		assert.equal(404, post("/msg/nobody", "hello", headers).status);
		local mark = world.log_mark();
		headers["X-Request-Id"] = "again-2";
		local answer = post("/msg/nobody", "hello", headers);
		assert.equal(404, answer.status);
		assert.equal("again-2", answer.headers["x-request-id"]);
		assert.same({ "Request again-2 of me@example.com: 404, as the first time (Idempotency-Key)" }, lines(mark, "info"));
	end);

	it("is logged with the id of a sending token, never with the token", function ()
		local out = world.prosodyctl({ "mod_post_msg", "token", "add", "me@example.com", "--to", "user@example.com" });
		local token = out:match("(pmsg_%S+)%s*$");
		local mark = world.log_mark();
		assert.equal(403, post("/msg/other", "hello", { ["Authorization"] = "Bearer " .. token, ["X-Request-Id"] = "t-1" }).status);
		assert.equal(403, post("/msg/other?token=" .. token, "hello", { ["Authorization"] = false, ["X-Request-Id"] = "t-2" }).status);
		local found = lines(mark, "info");
		assert.equal(2, #found, table.concat(found, "\n"));
		for _, line in ipairs(found) do
			assert.matches("^Request t%-%d of me@example%.com %(token " .. token:match("^pmsg_(%w+)_") .. "%): 403, ", line);
			assert.is_nil(line:find(token, 1, true));
		end
	end);
end);
