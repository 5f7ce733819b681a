"""Every item of an NBI record, declared once: name, item number, kind, unit and meaning.

Names are the column headings of the files FHWA publishes, so that anyone who knows the Coding Guide [1]_ finds the item
by its number. All five layouts map onto this one list; an item that a layout lacks is null.

References
----------
.. [1] FHWA-PD-96-001, Recording and Coding Guide for the Structure Inventory and Appraisal of the Nation's Bridges,
   1995, with the 2022 errata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bridge_assets.nbi.coding_guide import codes


class ItemKind(StrEnum):
    """How the text of an item is read."""

    CODE = "code"
    """Kept as text without padding: `01` is not 1, `N` is not missing."""
    TEXT = "text"
    """Free text in single quotes, apostrophes inside not escaped."""
    INTEGER = "integer"
    DECIMAL = "decimal"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a record.

    Attributes
    ----------
    name : str
        Column heading in the published files; our canonical name.
    number : str
        Item number in the Coding Guide, "" for a column that FHWA computes.
    kind : ItemKind
    unit : str
        SI unit, or "" if it has none.
    meaning : str
    derived_from_ratings : bool
        True if the value is a function of the condition ratings. Such a column must not be a model feature.
    """

    name: str
    number: str
    kind: ItemKind
    unit: str
    meaning: str
    derived_from_ratings: bool = False

    @property
    def codes(self) -> Mapping[str, str]:
        """Code -> meaning, with the width of the Coding Guide; empty for numbers and if any text is allowed."""
        return codes.codes_of(self.name)


def _parse_items(table: str) -> tuple[Item, ...]:
    items = []
    for line in table.strip().splitlines():
        name, number, kind, unit, meaning = (cell.strip() for cell in line.split("|"))
        items.append(
            Item(name, number, ItemKind(kind.rstrip("*")), unit, meaning, derived_from_ratings=kind.endswith("*"))
        )
    return tuple(items)


# name | item | kind, * for a function of the ratings | unit | meaning
INVENTORY_ITEMS = _parse_items("""
STATE_CODE_001          | 1    | code    |       | State, FIPS code
STRUCTURE_NUMBER_008    | 8    | code    |       | Structure number, unique within its state
RECORD_TYPE_005A        | 5A   | code    |       | Record type: 1 = route on the structure, others = routes under it
ROUTE_PREFIX_005B       | 5B   | code    |       | Route signing prefix
SERVICE_LEVEL_005C      | 5C   | code    |       | Designated level of service
ROUTE_NUMBER_005D       | 5D   | code    |       | Route number
DIRECTION_005E          | 5E   | code    |       | Directional suffix
HIGHWAY_DISTRICT_002    | 2    | code    |       | Highway agency district
COUNTY_CODE_003         | 3    | code    |       | County, FIPS code
PLACE_CODE_004          | 4    | code    |       | Place, FIPS code
FEATURES_DESC_006A      | 6A   | text    |       | Features intersected
CRITICAL_FACILITY_006B  | 6B   | code    |       | Critical facility indicator (no longer coded)
FACILITY_CARRIED_007    | 7    | text    |       | Facility carried by the structure
LOCATION_009            | 9    | text    |       | Location
MIN_VERT_CLR_010        | 10   | decimal | m     | Minimum vertical clearance of the route; 99.99 = no restriction
KILOPOINT_011           | 11   | decimal | km    | Kilometre point
BASE_HWY_NETWORK_012    | 12   | code    |       | On the base highway network
LRS_INV_ROUTE_013A      | 13A  | code    |       | LRS inventory route
SUBROUTE_NO_013B        | 13B  | code    |       | Subroute number
LAT_016                 | 16   | code    |       | Latitude, packed DDMMSSss
LONG_017                | 17   | code    |       | Longitude, packed DDDMMSSss, unsigned
DETOUR_KILOS_019        | 19   | integer | km    | Bypass or detour length; 199 = 199 or more
TOLL_020                | 20   | code    |       | Toll
MAINTENANCE_021         | 21   | code    |       | Maintenance responsibility
OWNER_022               | 22   | code    |       | Owner
FUNCTIONAL_CLASS_026    | 26   | code    |       | Functional class of the inventory route
YEAR_BUILT_027          | 27   | integer | year  | Year built
TRAFFIC_LANES_ON_028A   | 28A  | integer |       | Lanes on the structure
TRAFFIC_LANES_UND_028B  | 28B  | integer |       | Lanes under the structure
ADT_029                 | 29   | integer | /day  | Average daily traffic
YEAR_ADT_030            | 30   | integer | year  | Year of average daily traffic
DESIGN_LOAD_031         | 31   | code    |       | Design load
APPR_WIDTH_MT_032       | 32   | decimal | m     | Approach roadway width
MEDIAN_CODE_033         | 33   | code    |       | Bridge median
DEGREES_SKEW_034        | 34   | integer | deg   | Skew; 99 = major variation
STRUCTURE_FLARED_035    | 35   | code    |       | Structure flared
RAILINGS_036A           | 36A  | code    |       | Traffic safety: bridge railings
TRANSITIONS_036B        | 36B  | code    |       | Traffic safety: transitions
APPR_RAIL_036C          | 36C  | code    |       | Traffic safety: approach guardrail
APPR_RAIL_END_036D      | 36D  | code    |       | Traffic safety: approach guardrail ends
HISTORY_037             | 37   | code    |       | Historical significance
NAVIGATION_038          | 38   | code    |       | Navigation control
NAV_VERT_CLR_MT_039     | 39   | decimal | m     | Navigation vertical clearance
NAV_HORR_CLR_MT_040     | 40   | decimal | m     | Navigation horizontal clearance
OPEN_CLOSED_POSTED_041  | 41   | code*   |       | Open, posted or closed to traffic (follows the ratings in part)
SERVICE_ON_042A         | 42A  | code    |       | Type of service on the bridge
SERVICE_UND_042B        | 42B  | code    |       | Type of service under the bridge
STRUCTURE_KIND_043A     | 43A  | code    |       | Main span: kind of material or design
STRUCTURE_TYPE_043B     | 43B  | code    |       | Main span: type of design or construction; 19 = culvert
APPR_KIND_044A          | 44A  | code    |       | Approach spans: kind of material or design
APPR_TYPE_044B          | 44B  | code    |       | Approach spans: type of design or construction
MAIN_UNIT_SPANS_045     | 45   | integer |       | Number of spans in the main unit
APPR_SPANS_046          | 46   | integer |       | Number of approach spans
HORR_CLR_MT_047         | 47   | decimal | m     | Inventory route total horizontal clearance
MAX_SPAN_LEN_MT_048     | 48   | decimal | m     | Length of the longest span
STRUCTURE_LEN_MT_049    | 49   | decimal | m     | Structure length
LEFT_CURB_MT_050A       | 50A  | decimal | m     | Left curb or sidewalk width
RIGHT_CURB_MT_050B      | 50B  | decimal | m     | Right curb or sidewalk width
ROADWAY_WIDTH_MT_051    | 51   | decimal | m     | Bridge roadway width, curb to curb
DECK_WIDTH_MT_052       | 52   | decimal | m     | Deck width, out to out; 0 for culverts under fill
VERT_CLR_OVER_MT_053    | 53   | decimal | m     | Minimum vertical clearance over the roadway; 99.99 = no restriction
VERT_CLR_UND_REF_054A   | 54A  | code    |       | Reference feature of the vertical underclearance
VERT_CLR_UND_054B       | 54B  | decimal | m     | Minimum vertical underclearance
LAT_UND_REF_055A        | 55A  | code    |       | Reference feature of the lateral underclearance
LAT_UND_MT_055B         | 55B  | decimal | m     | Minimum lateral underclearance on the right
LEFT_LAT_UND_MT_056     | 56   | decimal | m     | Minimum lateral underclearance on the left
DECK_COND_058           | 58   | code    |       | Deck condition
SUPERSTRUCTURE_COND_059 | 59   | code    |       | Superstructure condition
SUBSTRUCTURE_COND_060   | 60   | code    |       | Substructure condition
CHANNEL_COND_061        | 61   | code    |       | Channel and channel protection
CULVERT_COND_062        | 62   | code    |       | Culvert condition
OPR_RATING_METH_063     | 63   | code    |       | Method used to determine the operating rating
OPERATING_RATING_064    | 64   | decimal | t     | Operating rating, metric tons
INV_RATING_METH_065     | 65   | code    |       | Method used to determine the inventory rating
INVENTORY_RATING_066    | 66   | decimal | t     | Inventory rating, metric tons
STRUCTURAL_EVAL_067     | 67   | code*   |       | Structural evaluation
DECK_GEOMETRY_EVAL_068  | 68   | code    |       | Deck geometry
UNDCLRENCE_EVAL_069     | 69   | code    |       | Underclearances, vertical and horizontal
POSTING_EVAL_070        | 70   | code*   |       | Bridge posting (follows the ratings in part)
WATERWAY_EVAL_071       | 71   | code    |       | Waterway adequacy
APPR_ROAD_EVAL_072      | 72   | code    |       | Approach roadway alignment
WORK_PROPOSED_075A      | 75A  | code    |       | Type of work proposed
WORK_DONE_BY_075B       | 75B  | code    |       | Work done by
IMP_LEN_MT_076          | 76   | decimal | m     | Length of structure improvement
DATE_OF_INSPECT_090     | 90   | code    |       | Inspection date, MMYY without the leading zero
INSPECT_FREQ_MONTHS_091 | 91   | integer | month | Designated inspection frequency
FRACTURE_092A           | 92A  | code    |       | Fracture critical detail inspection
UNDWATER_LOOK_SEE_092B  | 92B  | code    |       | Underwater inspection
SPEC_INSPECT_092C       | 92C  | code    |       | Other special inspection
FRACTURE_LAST_DATE_093A | 93A  | code    |       | Date of the fracture critical inspection, MMYY
UNDWATER_LAST_DATE_093B | 93B  | code    |       | Date of the underwater inspection, MMYY
SPEC_LAST_DATE_093C     | 93C  | code    |       | Date of the other special inspection, MMYY
BRIDGE_IMP_COST_094     | 94   | decimal | kUSD  | Bridge improvement cost
ROADWAY_IMP_COST_095    | 95   | decimal | kUSD  | Roadway improvement cost
TOTAL_IMP_COST_096      | 96   | decimal | kUSD  | Total project cost
YEAR_OF_IMP_097         | 97   | integer | year  | Year of the improvement cost estimate
OTHER_STATE_CODE_098A   | 98A  | code    |       | Border bridge: neighbouring state
OTHER_STATE_PCNT_098B   | 98B  | decimal | %     | Border bridge: share of the neighbouring state
OTHR_STATE_STRUC_NO_099 | 99   | code    |       | Border bridge: structure number in the neighbouring state
STRAHNET_HIGHWAY_100    | 100  | code    |       | STRAHNET highway designation
PARALLEL_STRUCTURE_101  | 101  | code    |       | Parallel structure designation
TRAFFIC_DIRECTION_102   | 102  | code    |       | Direction of traffic
TEMP_STRUCTURE_103      | 103  | code    |       | Temporary structure designation
HIGHWAY_SYSTEM_104      | 104  | code    |       | Highway system of the inventory route
FEDERAL_LANDS_105       | 105  | code    |       | Federal lands highways
YEAR_RECONSTRUCTED_106  | 106  | integer | year  | Year reconstructed; 0 and blank both mean never
DECK_STRUCTURE_TYPE_107 | 107  | code    |       | Deck structure type
SURFACE_TYPE_108A       | 108A | code    |       | Type of wearing surface
MEMBRANE_TYPE_108B      | 108B | code    |       | Type of membrane
DECK_PROTECTION_108C    | 108C | code    |       | Deck protection
PERCENT_ADT_TRUCK_109   | 109  | integer | %     | Average daily truck traffic, share of item 29
NATIONAL_NETWORK_110    | 110  | code    |       | On the national network for trucks
PIER_PROTECTION_111     | 111  | code    |       | Pier or abutment protection
BRIDGE_LEN_IND_112      | 112  | code    |       | Meets the NBIS bridge length
SCOUR_CRITICAL_113      | 113  | code    |       | Scour critical bridge
FUTURE_ADT_114          | 114  | integer | /day  | Future average daily traffic
YEAR_OF_FUTURE_ADT_115  | 115  | integer | year  | Year of future average daily traffic
MIN_NAV_CLR_MT_116      | 116  | decimal | m     | Minimum navigation vertical clearance, vertical lift bridge
""")

SUBMISSION_ITEMS = _parse_items("""
FED_AGENCY              |      | code    |       | Submitted by a federal agency
DATE_LAST_UPDATE        |      | code    |       | Date of the last update
TYPE_LAST_UPDATE        |      | code    |       | Type of the last update
DEDUCT_CODE             |      | code    |       | Deduct code
REMARKS                 |      | text    |       | Remarks
PROGRAM_CODE            |      | code    |       | Program code
PROJ_NO                 |      | code    |       | Project number
PROJ_SUFFIX             |      | code    |       | Project suffix
NBI_TYPE_OF_IMP         |      | code    |       | Type of improvement
DTL_TYPE_OF_IMP         |      | code    |       | Type of improvement, in detail
SPECIAL_CODE            |      | code    |       | Special code
STEP_CODE               |      | code    |       | Step code
""")

PUBLISHED_EVALUATIONS = _parse_items("""
STATUS_WITH_10YR_RULE   |      | code*   |       | Deficiency status with the 10-year rule
SUFFICIENCY_ASTERC      |      | code*   |       | Asterisk of the sufficiency rating
SUFFICIENCY_RATING      |      | decimal*| %     | Sufficiency rating
STATUS_NO_10YR_RULE     |      | code*   |       | Deficiency status without the 10-year rule
STATUS                  |      | code*   |       | Deficiency status
SUBMITTED_BY            |      | code    |       | State or federal agency that submitted the record
BRIDGE_CONDITION        |      | code*   |       | Published class of the condition (CAT10 in 2016 to 2018)
LOWEST_RATING           |      | code*   |       | Published lowest rating (CAT23 in 2017 and 2018)
DECK_AREA               |      | decimal | m2    | Published deck area (CAT29 in 2017 and 2018)
""")

ITEMS: tuple[Item, ...] = INVENTORY_ITEMS + SUBMISSION_ITEMS + PUBLISHED_EVALUATIONS
ITEMS_BY_NAME: dict[str, Item] = {item.name: item for item in ITEMS}
ITEM_NAMES: tuple[str, ...] = tuple(ITEMS_BY_NAME)

#: Items 58, 59, 60 and 62, from which the condition follows (23 CFR 490.409).
CONDITION_ITEMS = ("DECK_COND_058", "SUPERSTRUCTURE_COND_059", "SUBSTRUCTURE_COND_060", "CULVERT_COND_062")

#: Derived column -> (type, meaning), computed by `bridge_assets.nbi.derived`. Lower case, while items are upper case.
DERIVED_COLUMNS: dict[str, tuple[str, str]] = {
    "survey_year": ("year", "Year of the NBI file"),
    "structure_key": ("text", "State code and structure number without padding: one bridge across years"),
    "on_structure": ("boolean", "Record type 1: the record that carries the structure's condition"),
    "is_culvert": ("boolean", "Item 43B is 19"),
    "condition": ("0-9", "Lowest of items 58, 59, 60 and 62"),
    "condition_class": ("text", "Good (7 or more), Fair (5, 6) or Poor (4 or less), 23 CFR 490.409"),
    "inspection_date": ("date", "Item 90 as the first day of its month"),
    "inspected_in_future": ("boolean", "Item 90 is later than the survey year"),
    "days_since_inspection": ("day", "From the inspection date to the end of the survey year; negative if later"),
    "age": ("year", "From item 27 to the survey year; null if item 27 is unknown or later"),
    "latitude": ("deg", "Item 16 in decimal degrees, negative south of the equator"),
    "longitude": ("deg", "Item 17 in decimal degrees, negative west of Greenwich"),
    "flags": ("text", "Inconsistencies within the record or with the Coding Guide, joined by '; '"),
}
