-- Routes that only answer, or only route a prebuilt message: the highest rates that a module can reach.
--   POST /ceiling/answer       answers at once
--   POST /ceiling/send         answers after module:send
--   POST /ceiling/route        answers after routing the message with all checks, like a client's
--   POST /ceiling/route-large  the same with the large text
--   POST /ceiling/loop/COUNT   answers after COUNT calls of module:send

module:depends "http";

local st = require "util.stanza";

local core_post_stanza = prosody.core_post_stanza;

-- Messages to this account cost nothing: a hook counts and discards them before delivery.
local sender, recipient = "sender@"..module.host, "sink@"..module.host;

prosody.bench_taken = 0;

module:hook("message/bare", function (event)
	if event.stanza.attr.to == recipient then
		prosody.bench_taken = prosody.bench_taken + 1;
		return true;
	end
end, 500);
local origin = {
	type = "c2s"; username = "sender"; host = module.host; full_jid = sender; secure = true; log = module._log;
	send = function () return true; end;
};

local function message(text)
	return st.message({ from = sender; to = recipient; type = "chat"; id = "0123456789abcdef" }):text_tag("body", text);
end

local small, large = message(module:get_option_string("bench_small")), message(module:get_option_string("bench_large"));

local function send()
	module:send(st.clone(small));
	return 201;
end

local function routes(ready)
	return function ()
		core_post_stanza(origin, st.clone(ready), true);
		return 201;
	end
end

module:provides("http", {
	default_path = "/ceiling";
	route = {
		["POST /answer"] = function () return 201; end;
		["POST /send"] = send;
		["POST /route"] = routes(small);
		["POST /route-large"] = routes(large);
		["POST /loop/*"] = function (_, count)
			for _ = 1, tonumber(count) do send(); end
			return 201;
		end;
	};
});
