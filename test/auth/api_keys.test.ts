/** Keys of the HTTP API. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { ApiKeys } from "../../server/auth/api_keys.ts";
import { KeyError } from "../../server/auth/key_file.ts";
import { withFile } from "../helpers/temp_file.ts";

const [first, second] = ["first-key-0123456789", "second+key/0123456789=="];

describe("API keys", () => {
  it("are the lines of a file without its comments and blank lines", async () => {
    await withFile(`# keys\n\n${first}\r\n  ${second}  \n \n#third-key-0123456789`, (file) => {
      const keys = ApiKeys.fromFile(file);
      assert(keys.accepts(`Bearer ${first}`));
      assert(keys.accepts(`bearer ${second}`));
      for (
        const key of [
          "",
          "#third-key-0123456789",
          "third-key-0123456789",
          first.slice(1),
          `${first}x`,
          first.toUpperCase(),
        ]
      ) {
        assertFalse(keys.accepts(`Bearer ${key}`), key);
      }
      for (
        const header of [
          undefined,
          "",
          "Bearer",
          first,
          `Basic ${first}`,
          `Bearer ${first}, Bearer ${second}`,
        ]
      ) {
        assertFalse(keys.accepts(header), header);
      }
    });
  });

  it("are none without a file", () => {
    for (const header of [undefined, "", "Bearer", "Bearer ", `Bearer ${first}`]) {
      assertFalse(ApiKeys.none.accepts(header));
    }
    ApiKeys.none.reload();
  });

  it("change with a reload, or stay when the new file cannot be used", async () => {
    await withFile(first, (file, rewrite) => {
      const keys = ApiKeys.fromFile(file);
      rewrite("short");
      assertThrows(() => keys.reload(), KeyError);
      assert(keys.accepts(`Bearer ${first}`));
      rewrite(second);
      keys.reload();
      assertFalse(keys.accepts(`Bearer ${first}`));
      assert(keys.accepts(`Bearer ${second}`));
    });
  });

  const cases: [name: string, content: string, problem: string][] = [
    ["a key of 15 characters", `# one\n${first}\ns3cr3t-89012345\n`, "line 3 of"],
    ["a space in a key", "s3cr3t-89012345 s3cr3t-89012345", "line 1 of"],
    ["characters that a header cannot have", "s3cr3t-89012345-é", "line 1 of"],
    ["no key", "# none yet\n\n", "no API key"],
    ["more than 100 keys", Array.from({ length: 101 }, (_, i) => `s3cr3t-890123456-${i}`).join("\n"), "100"],
  ];
  for (const [name, content, problem] of cases) {
    it(`are refused with ${name}, without a word of it`, async () => {
      await withFile(content, (file) => {
        const error = assertThrows(() => ApiKeys.fromFile(file), KeyError, problem);
        assertFalse(error.message.includes("s3cr3t"));
      });
    });
  }

  it("may have 16 characters, and there may be 100", async () => {
    const keys = Array.from({ length: 100 }, (_, i) => `${i}`.padStart(16, "0"));
    await withFile(keys.join("\n"), (file) => {
      const read = ApiKeys.fromFile(file);
      assertEquals(keys.filter((key) => !read.accepts(`Bearer ${key}`)), []);
    });
  });

  it("need a file that can be read", () => {
    assertThrows(() => ApiKeys.fromFile("/nowhere/keys"), KeyError, "/nowhere/keys: ENOENT");
  });
});
