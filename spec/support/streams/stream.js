// Node sends chunks if a request is written in several parts without Content-Length.
const http = require("http");
const [, , url, token] = process.argv;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function send(parts) {
    return new Promise((resolve, reject) => {
        const request = http.request(url, { method: "POST", agent, headers: { Authorization: `Bearer ${token}` } }, (answer) => {
            answer.resume();
            answer.on("end", () => resolve(answer.statusCode));
        });
        request.on("error", reject);
        for (const part of parts) request.write(part);
        request.end();
    });
}

(async () => {
    for (let round = 0; round < 2; round++) {
        process.stdout.write(`${await send(Array(10).fill("x".repeat(10000)))} `);
        process.stdout.write(`${await send(["sm", "all"])} `);
    }
    agent.destroy();
})();
