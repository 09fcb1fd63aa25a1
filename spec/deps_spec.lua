-- Which packages tools/deps installs, on systems that this file imitates.

local output_of = require "spec.support.programs".output_of;

local here = debug.getinfo(1, "S").source:match("^@(.*)/spec/") or ".";
local folder = output_of("mktemp -d"):match("[^\n]+");

-- Makes a program of this name, which runs this shell code.
local function imitate(name, code)
	local path = folder .. "/" .. name;
	local file = assert(io.open(path, "w"));
	file:write("#!/bin/sh\n", code, "\n");
	file:close();
	assert(os.execute("chmod 755 '" .. path .. "'"));
	return path;
end

-- Makes a system with these packages: name → version.
local function system(packages)
	local cases = {};
	for name, version in pairs(packages) do
		table.insert(cases, ("%s) echo '  Candidate: %s' ;;"):format(name, version));
	end
	imitate("apt-cache", 'case $2 in ' .. table.concat(cases, " ") .. ' *) echo "  Candidate: (none)" ;; esac');
end

-- > what tools/deps prints, in one line
local function deps(needs, user, cargo)
	imitate("id", "echo " .. (user or 0));
	return (output_of(("PATH='%s':/usr/bin:/bin CARGO='%s' '%s/tools/deps' %s 2>&1"):format(folder, cargo or "no-cargo", here, needs))
		:gsub("\n", " "):gsub(" $", ""));
end

local debian_12 = { cargo = "0.66.0+ds1-1", ["cargo-web"] = "1.85.0+dfsg3-1~deb12u3", ["rustfmt-web"] = "1.85.0", ["rust-web-clippy"] = "1.85.0" };
local debian_13 = { cargo = "1.85.0+dfsg3-1", rustfmt = "1.85.0", ["rust-clippy"] = "1.85.0" };
local ubuntu_24 = { cargo = "1.75.0+dfsg0ubuntu1", ["cargo-1.85"] = "1.85.1", ["rustfmt-1.85"] = "1.85.1", ["rust-1.85-clippy"] = "1.85.1" };

describe("tools/deps", function ()
	setup(function ()
		imitate("apt-get", ":");
	end);

	teardown(function ()
		os.execute("rm -rf '" .. folder .. "'");
	end);

	it("installs the Rust of each system that is new enough, and its parts", function ()
		system(debian_12);
		assert.equal("Installing cargo-web rustfmt-web rust-web-clippy", deps("rust rustfmt clippy"));
		system(debian_13);
		assert.equal("Installing cargo rustfmt rust-clippy", deps("rust rustfmt clippy"));
		system(ubuntu_24);
		assert.equal("Installing cargo-1.85 rustfmt-1.85 rust-1.85-clippy", deps("rust rustfmt clippy"));
	end);

	it("only installs what is missing, once", function ()
		assert.equal("", deps("sh:dash /bin/sh:dash"));
		assert.equal("Installing one two", deps("no-program:one,two sh:dash no-program:one,two"));
	end);

	it("uses a Rust of the user that is new enough, without the parts that it does not have", function ()
		assert.equal("", deps("rust rustfmt clippy", 0, imitate("cargo-1.99", '[ "$*" = --version ] && echo "cargo 1.99.0"')));
	end);

	it("does not replace a Rust of the user that is too old", function ()
		local cargo = imitate("cargo-1.70", 'echo "cargo 1.70.0 (0a1b2c3d4 2023-06-01)"');
		assert.equal(("Rust 1.85 or later is needed, but %s is 1.70.0. With rustup, type: rustup update stable && rustup default stable")
			:format(cargo), deps("rust", 0, cargo));
	end);

	it("only names the packages without root's rights", function ()
		system(debian_12);
		assert.equal("Please install these packages (Debian's names) and try again: cargo-web one", deps("rust no-program:one", 1000));
		system {};
		assert.equal("Please install these packages (Debian's names) and try again: cargo (Rust 1.85 or later)", deps("rust", 1000));
	end);

	it("says if no package has a Rust that is new enough", function ()
		system { cargo = "1.63.0" };
		assert.equal("Rust 1.85 or later is needed, and no package of this system has it. Install it as https://rustup.rs says", deps("rust"));
	end);
end);
