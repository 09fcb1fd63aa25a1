-- Passwords and sending tokens, with each backend that can store the accounts of a host.

local directory = require "spec.support.directory";
local mime = require "mime";
local programs = require "spec.support.programs";
local wire = require "spec.support.wire";
local world = require "spec.support.world";

local recheck = 1; -- seconds: post_msg_credential_recheck

local function post(host, credentials)
	return world.http(world.request("/msg/user@example.com", "hello", { ["Host"] = host; ["Authorization"] = credentials }));
end

local function basic(address, password) return "Basic " .. (mime.b64(address .. ":" .. password)); end

local function is_13() return not world.server.version:match("^0%."); end

local function run(code)
	return assert(world.lua("local user = require 'core.usermanager'; return (assert(" .. code .. "))") ~= nil);
end

-- Each backend has the settings of its host, and a function that deletes its account `gone`.
local backends = {
	{ name = "internal_hashed"; host = "hashed.example"; lines = "authentication = 'internal_hashed'" };
	{ name = "internal_plain"; host = "plain.example"; lines = "authentication = 'internal_plain'" };
	{ name = "a backend that only tests passwords"; host = "test.example"; lines = "authentication = 'spec_test_only'" };
	{
		name = "ldap"; host = "ldap.example";
		delete = function (settings)
			run(([[require "lualdap".open_simple(%q, "cn=admin,%s", "pw-of-admin"):delete("uid=gone,%s")()]])
				:format(settings:match("ldap_server = '([^']*)'"), directory.base, directory.base));
		end;
	};
};

describe("credentials of a host with the accounts in", function ()
	local folder, environment, not_covered;

	lazy_setup(function ()
		local hosts = world.defaults().hosts;
		folder = programs.output_of("mktemp -d"):match("[^\n]+");
		world.start();
		local lua = world.lua("return _VERSION:match('%d.%d')");
		world.stop(); -- otherwise the LDAP server would keep its connections open
		environment, not_covered = directory.environment(lua);
		for _, backend in ipairs(backends) do
			local accounts = { me = "pw-of-me", gone = "pw-of-gone" };
			if backend.name == "ldap" then
				backend.lines = environment and directory.start(folder, accounts);
			end
			if backend.lines then
				hosts[backend.host] = { accounts = accounts; lines = backend.lines .. "; post_msg_credential_recheck = " .. recheck };
			end
		end
		world.start { hosts = hosts; environment = environment };
		world.login("user@example.com");
	end);

	lazy_teardown(function ()
		world.stop();
		if environment then directory.stop(folder); end
		os.execute("rm -r '" .. folder .. "'");
	end);

	for _, backend in ipairs(backends) do
		local host = backend.host;

		-- A token that the account makes with its chat client.
		local function make_token(address)
			world.login(address);
			local answer = world.command(address, "post_msg#token-add", {});
			return assert(answer.values and answer.values.token, answer.error);
		end

		it(backend.name .. " are accepted if they are right, as password and as token", function ()
			if not backend.lines then return print("not covered: " .. not_covered); end
			local me = "me@" .. host;
			assert.equal(201, post(host, basic(me, "pw-of-me")).status);
			assert.equal(401, post(host, basic(me, "pw-of-nobody")).status);
			assert.equal(401, post(host, basic("nobody@" .. host, "pw-of-me")).status);
			local token = make_token(me);
			for _, credentials in ipairs { "Bearer " .. token, basic(me, token) } do
				local answer = post(host, credentials);
				assert.equal(201, answer.status, answer.body);
			end
		end);

		it(backend.name .. " are rejected after the account is deleted", function ()
			if not backend.lines then return; end
			local gone = "gone@" .. host;
			local token = make_token(gone);
			assert.equal(201, post(host, "Bearer " .. token).status);
			assert.equal(201, post(host, basic(gone, "pw-of-gone")).status);
			if backend.delete then
				backend.delete(backend.lines);
			else
				run(("user.delete_user('gone', %q)"):format(host));
			end
			for _, credentials in ipairs { "Bearer " .. token, basic(gone, "pw-of-gone") } do
				wire.await("401", function () return post(host, credentials).status == 401; end);
			end
		end);
	end

	it("internal_hashed are rejected while the account is disabled", function ()
		if not is_13() then return; end -- Prosody 0.12 disables no accounts
		local me = "me@hashed.example";
		local token = world.command(me, "post_msg#token-add", {}).values.token;
		for _, credentials in ipairs { "Bearer " .. token, basic(me, "pw-of-me") } do
			assert.equal(201, post("hashed.example", credentials).status);
			run("user.disable_user('me', 'hashed.example')");
			assert.equal(401, post("hashed.example", credentials).status);
			run("user.enable_user('me', 'hashed.example')");
			assert.equal(201, post("hashed.example", credentials).status);
		end
	end);
end);
