-- An authentication provider that can test a password, and tells nothing to compare, as LDAP's does. The passwords are
-- in `passwords`; each test is counted in `tests`.

local new_sasl = require "util.sasl".new;

local provider = { name = "spec_test_only", passwords = {}, tests = 0 };

function provider.test_password(username, password)
	provider.tests = provider.tests + 1;
	return provider.passwords[username] == password or nil;
end

function provider.user_exists(username)
	return provider.passwords[username] ~= nil;
end

function provider.create_user(username, password)
	provider.passwords[username] = password;
	return true;
end

provider.set_password = provider.create_user;

function provider.delete_user(username)
	return provider.create_user(username, nil);
end

function provider.get_password()
	return nil, "not known";
end

function provider.get_sasl_handler()
	return new_sasl(module.host, {
		plain_test = function (_, username, password)
			return provider.test_password(username, password), provider.user_exists(username) or nil;
		end;
	});
end

module:provides("auth", provider);
