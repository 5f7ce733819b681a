-- Why a component's rating rises, by rules that are simple enough to check by hand. In this order:
-- 1. `replaced`, `reconstructed`: according to items 27 and 106. Item 106 records work that is eligible for federal funding
--    (Coding Guide, item 106): it leaves out repairs such as overlaying a deck together with the road, and most retrofits.
-- 2. `repair`: two points or more, or one point together with a change that only work on that component causes. 95 % of ratings
--    by different inspectors are within two points of their mean, but only 68 % within one (FHWA-RD-01-020, 2001), so one point
--    alone does not prove work.
-- 3. `re_rating`: one point that the next inspection takes back: one inspector's judgement against another's.
-- 4. `unexplained`: one point without evidence of work, and not taken back, or not yet.
-- Items 75A (work proposed) and 97 (year of a cost estimate) are plans, not evidence that work was done.
with history as (
    select
        structure_key,
        survey_year,
        inspection_date,
        deck_rating_058,
        superstructure_rating_059,
        substructure_rating_060,
        culvert_rating_062,
        renewal,
        lag(survey_year) over in_time as previous_survey_year,
        lag(inspection_date) over in_time as previous_inspection_date,
        lag(deck_rating_058) over in_time as previous_deck,
        lag(superstructure_rating_059) over in_time as previous_superstructure,
        lag(substructure_rating_060) over in_time as previous_substructure,
        lag(culvert_rating_062) over in_time as previous_culvert,
        lead(deck_rating_058) over in_time as next_deck,
        lead(superstructure_rating_059) over in_time as next_superstructure,
        lead(substructure_rating_060) over in_time as next_substructure,
        lead(culvert_rating_062) over in_time as next_culvert
    from {{ ref('int_inspections') }}
    window in_time as (partition by structure_key order by inspection_date)
    qualify
        deck_rating_058 > previous_deck
        or superstructure_rating_059 > previous_superstructure
        or substructure_rating_060 > previous_substructure
        or culvert_rating_062 > previous_culvert
),

-- The coded items are looked up for the few inspections with a rise, instead of being carried along for all of them.
records as (
    select
        structure_key, survey_year, material_043a, design_043b, deck_structure_107, surface_108a, membrane_108b,
        deck_protection_108c, scour_113
    from {{ ref('stg_bridges') }}
),

with_changes as (
    select
        history.*,
        {{ code_changed('before.material_043a', 'after.material_043a') }} as changed_043a,
        {{ code_changed('before.design_043b', 'after.design_043b') }} as changed_043b,
        {{ code_changed('before.deck_structure_107', 'after.deck_structure_107') }} as changed_107,
        {{ code_changed('before.surface_108a', 'after.surface_108a') }} as changed_108a,
        {{ code_changed('before.membrane_108b', 'after.membrane_108b') }} as changed_108b,
        {{ code_changed('before.deck_protection_108c', 'after.deck_protection_108c') }} as changed_108c,
        {{ code_changed('before.scour_113', 'after.scour_113') }} and after.scour_113 = '7' as countermeasures_113
    from history
    left join records as before
        on history.structure_key = before.structure_key and history.previous_survey_year = before.survey_year
    left join records as after
        on history.structure_key = after.structure_key and history.survey_year = after.survey_year
),

by_component as (
    {% for component, rating, items in [
        ('deck', 'deck_rating_058', ['changed_107', 'changed_108a', 'changed_108b', 'changed_108c']),
        ('superstructure', 'superstructure_rating_059', ['changed_043a', 'changed_043b']),
        ('substructure', 'substructure_rating_060', ['countermeasures_113']),
        ('culvert', 'culvert_rating_062', ['changed_043a', 'countermeasures_113']),
    ] %}
    select
        structure_key,
        previous_survey_year,
        survey_year,
        previous_inspection_date,
        inspection_date,
        '{{ component }}' as component,
        previous_{{ component }} as previous_rating,
        {{ rating }} as rating,
        next_{{ component }} as next_rating,
        renewal,
        nullif(concat_ws(', '
            {%- for item in items %}, case when {{ item }} then '{{ item.split('_')[1].lstrip('0') | upper }}' end{% endfor -%}
        ), '') as changed_items
    from with_changes
    where {{ rating }} > previous_{{ component }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    structure_key,
    left(structure_key, 2) as state_code,
    previous_survey_year,
    survey_year,
    previous_inspection_date,
    inspection_date,
    component,
    previous_rating,
    rating,
    rating - previous_rating as points,
    next_rating,
    case
        when renewal is not null then renewal
        when points >= 2 or changed_items is not null then 'repair'
        when next_rating <= previous_rating then 're_rating'
        else 'unexplained'
    end as kind,
    nullif(
        concat_ws(
            ', ', case renewal when 'replaced' then '27' when 'reconstructed' then '106' end, changed_items
        ),
        ''
    ) as evidence
from by_component
order by structure_key, inspection_date, component
