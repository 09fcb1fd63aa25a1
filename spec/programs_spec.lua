-- Real, unchanged libraries of other programs post: slack_sdk, discord-webhook, gotify and apprise, some of them through the proxy of
-- docs/programs.md. Their calls are in spec/support/senders.py.

local json = require "dkjson";
local pages = require "spec.support.pages";
local programs = require "spec.support.programs";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local python = programs.folder .. "/python/bin/python";
local nginx = programs.find("nginx");

if programs.output_of("test -x '" .. python .. "' && echo there") == "" then
	print("not covered: the libraries of programs that post, which this machine does not have");
	return;
elseif not nginx then
	return;
end

local locations = pages.find("docs/programs.md", "```nginx\n(.-)```");

-- Apprise always uses the hosts of Slack and Discord; the proxy leads them here.
local config = [[
daemon on; pid DIR/pid; error_log DIR/error.log; events {}
http {
	access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
	server {
		listen 127.0.0.1:PORT;
		listen 127.0.0.1:TLS ssl;
		ssl_certificate DIR/proxy.crt;
		ssl_certificate_key DIR/proxy.key;
		location /services/ { rewrite ^ /msg/user?as=slack&token=TOKEN break; proxy_pass http://127.0.0.1:5280; }
		location /api/webhooks/ { rewrite ^ /msg/user?as=discord&token=TOKEN break; proxy_pass http://127.0.0.1:5280; }
		LOCATIONS
	}
}
]];

describe("libraries of other programs", function ()
	local folder, token, proxy, tls;
	local tokens = {};

	setup(function ()
		world.start({ extra = 'http_default_host = "example.com" trusted_proxies = { "127.0.0.1" }' });
		world.login("user@example.com");
		local function make_token(...)
			return (world.prosodyctl({ "mod_post_msg", "token", "add", "me@example.com", ... }):match("([^\n]*)\n$"));
		end
		token = make_token();
		for _, name in ipairs { "gotify", "ntfy" } do tokens[name] = make_token("--to", "user@example.com", "--as", name); end
		folder = programs.output_of("mktemp -d"):match("[^\n]+");
		proxy, tls = wire.free_port(), wire.free_port();
		os.execute(("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=push.example.com -keyout '%s/proxy.key' -out '%s/proxy.crt' "
			.. "2>/dev/null"):format(folder, folder));
		local all = { DIR = folder, PORT = tostring(proxy), TLS = tostring(tls), TOKEN = token, LOCATIONS = locations };
		local text = config:gsub("%u%u%u+", all):gsub("127%.0%.0%.1:5280", "127.0.0.1:" .. world.server.http_port);
		local file = assert(io.open(folder .. "/nginx.conf", "w"));
		file:write(text);
		file:close();
		assert.equal("", programs.output_of(("%s -c '%s/nginx.conf' 2>&1"):format(nginx, folder)));
	end);

	teardown(function ()
		if folder then programs.stop(folder .. "/pid"); os.execute("rm -rf '" .. folder .. "'"); end
		world.stop();
	end);

	it("are encrypted for Prosody if they use the proxy over TLS", function ()
		world.lua([[require "net.http.server"._events.add_handler("POST example.com/msg/*", function (event)
			prosody.spec_is_secure = not not event.request.secure;
		end, 1000);]]);
		for url, is_secure in pairs { ["http://push.example.com:" .. proxy] = false, ["https://push.example.com:" .. tls] = true } do
			local status = programs.output_of(("curl -sSk --noproxy '*' --connect-to ::127.0.0.1: -o /dev/null -w '%%{http_code}' '%s/backups' "
				.. "-H 'Authorization: Bearer %s' -d Done 2>&1"):format(url, tokens.ntfy));
			assert.equal("200", status);
			assert.equal(is_secure, world.lua("return prosody.spec_is_secure"));
			world.receive("user@example.com");
		end
	end);

	it("post unchanged, accept the answer, and the message arrives", function ()
		local output = programs.output_of(("env -u http_proxy -u HTTP_PROXY -u all_proxy -u ALL_PROXY %s '%s/spec/support/senders.py' %d %d %s %s %s 2>&1")
			:format(python, here, world.server.http_port, proxy, token, tokens.gotify, tokens.ntfy));
		local results = json.decode(output) or error(output);
		local count = 0;
		for name, result in pairs(results) do
			assert.is_true(result == true, name .. ": " .. tostring(result));
			count = count + 1;
		end
		local messages, trouble = world.collect();
		assert.same({}, trouble);
		local bodies, expected = {}, {
			"slack_sdk: a page (https://example.com/)";
			"discord-webhook: *bold*\nAn embed\nwith a text", "discord-webhook: a file";
			"A title\ngotify: a message", "gotify: by a proxy";
			"A title\nslack of apprise\nApprise", "A title\ndiscord of apprise", "A title\ngotify of apprise", "A title\nntfy of apprise";
			"A title\njson of apprise", "A title\nform of apprise", "json of apprise";
		};
		for _, raw in ipairs(messages["user@example.com"]) do bodies[#bodies + 1] = raw:match("<body>(.-)</body>"); end
		assert.same(expected, bodies);
		assert.equal(#expected, count);
		assert.same({}, world.errors());
	end);
end);
