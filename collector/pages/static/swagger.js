// Draws the API's own document. Nothing is fetched from anywhere else: no validator, no fonts.
"use strict";
SwaggerUIBundle({
  url: "/api/v2/openapi.json",
  dom_id: "#swagger",
  deepLinking: true,
  validatorUrl: null,
});
