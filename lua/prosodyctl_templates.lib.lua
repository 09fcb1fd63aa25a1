-- `prosodyctl mod_post_msg template …`: templates for the formats of other programs.

local fail = module.import "command_line".fail;
local hosts = module.import "prosodyctl_hosts";
local loader = module.import "loader";

-- The templates of the first host that has a folder of them, or else the templates that come with the module.
local function open_templates() --> templates, folder or nil
	local folder;
	for _, host in ipairs(hosts.names()) do
		folder = folder or hosts.settings(host).templates;
	end
	return loader.load().templates(folder), folder;
end

local function list() --> exit status
	local templates, folder = open_templates();
	local status = 0;
	for _, template in ipairs(templates:list()) do
		local source, problem = templates:source(template.name);
		local place = template.own and folder.."/"..template.name..".j2" or "(comes with the module)";
		io.stdout:write(("%s  %s%s\n"):format(template.name, place, source and "" or "  "..problem.detail));
		if not source then status = 1; end
	end
	return status;
end

local function show(words) --> exit status
	local source, problem = open_templates():source(words[1]);
	if not source then return fail("%s", problem.detail); end
	io.stdout:write((source:gsub("\n?$", "\n")));
	return 0;
end

-- { "X-GitHub-Event: push" } → { ["X-GitHub-Event"] = "push" }
local function read_headers(lines) --> headers; or nil and a sentence
	local headers = {};
	for _, line in ipairs(lines) do
		local name, value = line:match("^([%w_-]+):%s*(.*)$");
		if not name then return nil, line.." is not a header; write NAME: VALUE"; end
		headers[name] = value;
	end
	return headers;
end

-- Prints the fields of a message. The body comes last, after an empty line.
local function print_message(fields, answer)
	local body;
	for _, field in ipairs(fields) do
		if field[1] == "body" then
			body = field[2];
		else
			io.stdout:write(field[1], ": ", field[2], "\n");
		end
	end
	if answer then io.stdout:write("answer: ", answer, "\n"); end
	if not fields[1] then
		io.stderr:write("The template prints nothing, so nothing is sent.\n");
	elseif body then
		io.stdout:write((fields[2] or answer) and "\n" or "", body, "\n");
	end
end

local function try(words, options) --> exit status
	local headers, sentence = read_headers(options.header);
	if not headers then return fail("%s", sentence); end
	local fields, answer = open_templates():render(words[1], io.stdin:read("*a"), headers);
	if not fields then return fail("%s", answer.detail); end
	print_message(fields, answer);
	return 0;
end

return {
	introduction = "A template makes a message from a request that another program posts with ?as=NAME. A template in the folder\n"
		.."post_msg_templates replaces the template of the same name that comes with the module.";
	commands = {
		{
			name = "template list"; run = list;
			description = "prints a line for each template: its name and origin, and what is wrong with it if it is broken.";
		};
		{
			name = "template show"; arguments = { "NAME" }; run = show; hint = "Say which template: template show alertmanager";
			description = "prints a template, as a starting point for another.";
		};
		{
			name = "template try"; arguments = { "NAME" }; input = "< PAYLOAD"; run = try;
			options = {
				{ name = "header"; value = '"NAME: VALUE"'; can_repeat = true; description = 'a header of the request, such as "X-GitHub-Event: push"' };
			};
			hint = "Say which template, and give it a payload: template try alertmanager < payload.json";
			description = "reads a payload on standard input, and prints the fields of the message that the template makes, the body last.";
		};
	};
};
