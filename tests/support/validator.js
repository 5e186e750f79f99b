// Prints the report of the Khronos glTF validator on a file: node validator.js MODULE FILE
const fs = require("fs");
const validator = require(process.argv[2]);

validator
  .validateBytes(new Uint8Array(fs.readFileSync(process.argv[3])))
  .then((report) => console.log(JSON.stringify(report)));
