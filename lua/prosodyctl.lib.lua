-- The command `prosodyctl mod_post_msg`. It runs in a process of its own, whether the server runs or not.

local check_configuration = module.import "check".check;
local command_line = module.import "command_line";
local start = module.import "prosodyctl_start";
local templates = module.import "prosodyctl_templates";
local tokens = module.import "prosodyctl_tokens";

local function check() --> exit status
	local findings, status = check_configuration(), 0;
	for _, kind in ipairs { "url"; "problem"; "note" } do
		for _, finding in ipairs(findings) do
			if finding.kind == kind then
				io.stdout:write(kind, ": ", finding.sentence, "\n");
				if kind == "problem" then status = 1; end
			end
		end
	end
	if status == 0 then io.stdout:write("No problems were found.\n"); end
	return status;
end

local groups = {
	start;
	{
		commands = { {
			name = "check"; run = check;
			description = "looks at the configuration, and prints each URL at which the module can be reached, and each problem, with\n"
				.."its solution. Its exit status is 0 if there are no problems.";
		} };
	};
	tokens;
	templates;
};

local usage = command_line.usage("prosodyctl mod_post_msg", groups);

-- The command whose name the first words are: "check", "token add".
local function find_command(words) --> command, or nil; index of the first word after its name
	for _, group in ipairs(groups) do
		for _, command in ipairs(group.commands) do
			local _, spaces = command.name:gsub(" ", "");
			if command.name == table.concat(words, " ", 1, math.min(#words, spaces + 1)) then return command, spaces + 2; end
		end
	end
end

local function asks_for_help(words) --> boolean
	for _, word in ipairs(words) do
		if word == "--help" or word == "-h" then return true; end
	end
	return false;
end

local function command(words) --> exit status
	if asks_for_help(words) then
		io.stdout:write(usage);
		return 0;
	end
	local found, first = find_command(words);
	if not found then
		io.stderr:write(usage, words[1] and "\nThere is no command "..table.concat(words, " ").."\n" or "");
		return 1;
	end
	local arguments, options = command_line.parse(found, words, first);
	if not arguments then return command_line.fail("%s", options); end
	-- An error here is one of the loader or of the settings, with a sentence for the administrator.
	local ok, status = pcall(found.run, arguments, options);
	if not ok then return command_line.fail("%s", tostring(status)); end
	return status;
end

return { command = command };
